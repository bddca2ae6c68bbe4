//! Writes small decoders: `cargo run --release --example decoders -- OUTDIR [NAME...]`.
//!
//! The weights are seeded, so the files are the same on every machine. `huge` is only written if it is named: it has
//! half a billion weights in an external file.

mod build;
mod decoder;
mod recipes;

use std::io::{self, Write as _};
use std::path::PathBuf;

fn main() -> io::Result<()> {
    let mut arguments = std::env::args_os().skip(1);
    let Some(folder) = arguments.next().map(PathBuf::from) else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "give the folder to write to"));
    };
    let names: Vec<String> = arguments.filter_map(|name| name.into_string().ok()).collect();
    std::fs::create_dir_all(&folder)?;
    let is_asked = |name: &str| match names.is_empty() {
        true => name != recipes::HUGE,
        false => names.iter().any(|asked| asked == name),
    };
    for recipe in recipes::all().into_iter().filter(|recipe| is_asked(recipe.name)) {
        let bytes = decoder::write(&recipe, &folder)?;
        writeln!(io::stdout(), "{:<20} {bytes:>11} bytes  {}", recipe.name, recipe.describes())?;
    }
    Ok(())
}
