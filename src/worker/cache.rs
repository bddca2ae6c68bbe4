//! The folder for files kept between runs: `$XDG_CACHE_HOME/offby`, or `~/.cache/offby`.

use std::env;
use std::path::PathBuf;

/// The cache folder. If the user has no home, the folder is inside the temporary folder.
pub fn cache_folder() -> PathBuf {
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("XDG_CACHE_HOME")
        .or_else(|| set("HOME").map(|home| home.join(".cache")))
        .unwrap_or_else(env::temp_dir)
        .join("offby")
}
