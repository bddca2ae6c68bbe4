//! What packagers install with the program: shell completions and the manual page; and the long version.

use super::args::{Arguments, CompletionsArgs};
use super::screen;
use crate::session::Failure;
use crate::worker::MNN_VERSION;
use clap::CommandFactory as _;
use std::io;

/// The version with the versions of the compiled-in engines, the backends, and the commit if the build sets it.
pub(super) fn long_version() -> String {
    let mut version = env!("CARGO_PKG_VERSION").to_owned();
    if let Some(commit) = option_env!("OFFBY_COMMIT") {
        version.push_str(&format!(" ({commit})"));
    }
    let backends = [
        ("vulkan", cfg!(feature = "vulkan")),
        ("opencl", cfg!(feature = "opencl")),
        ("opengl", cfg!(feature = "opengl")),
    ];
    let backends: Vec<&str> =
        backends.into_iter().filter(|(_, has)| *has).map(|(name, _)| name).collect();
    let mnn = match cfg!(feature = "mnn") {
        true => format!("MNN {MNN_VERSION}: cpu, {}", backends.join(", ")),
        false => "without MNN".to_owned(),
    };
    format!("{version}\ntract {}\n{mnn}", crate::engine::TRACT_VERSION)
}

/// Prints the completions of a shell.
pub(super) fn completions(args: &CompletionsArgs) -> Result<u8, Failure> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut Arguments::command(), "offby", &mut text);
    screen::show(&String::from_utf8_lossy(&text));
    Ok(0)
}

/// Prints the manual page, in troff.
pub(super) fn manual() -> Result<u8, Failure> {
    let mut text = Vec::new();
    let written: io::Result<()> = clap_mangen::Man::new(Arguments::command()).render(&mut text);
    written.map_err(|_| Failure::bug())?;
    screen::show(&String::from_utf8_lossy(&text));
    Ok(0)
}
