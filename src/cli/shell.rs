//! What packagers install with the program: shell completions and the manual page.

use super::args::{Arguments, CompletionsArgs};
use super::screen;
use crate::session::Failure;
use clap::CommandFactory as _;
use std::io;

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
