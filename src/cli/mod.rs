//! Arguments as typed, then as meant; composition of the rooms; all printing.

mod agree;
mod agree_args;
mod agree_lane;
mod agree_run;
mod agree_walk;
mod answer;
mod args;
mod bench;
mod bundle;
mod capture;
mod case;
mod case_run;
mod cut;
mod diff;
mod doctor;
mod environment;
mod examine;
mod failure;
mod fallback;
mod jobs;
mod matrix;
mod matrix_from;
mod matrix_run;
mod place;
mod prepare;
mod registry;
mod replay;
mod report;
mod run;
mod screen;
mod search;
mod shared_args;
mod shrink;
mod stored;
mod walk;

use args::{Arguments, Command};
use clap::Parser as _;
use failure::Failure;
use std::panic::catch_unwind;
use std::process::ExitCode;

/// Exit code of our own failures: usage, files, bugs.
const OWN_FAILURE: u8 = 2;

/// Runs the program named by the process's arguments.
///
/// Exit codes: 0 all agree, 1 a divergence was found, 2 our own failure, 3 inconclusive.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // A panic is a bug of ours; it must not look like a finding.
    match catch_unwind(|| dispatch(arguments.command)) {
        Ok(Ok(code)) => ExitCode::from(code),
        Ok(Err(failure)) => {
            screen::complain(&failure);
            ExitCode::from(OWN_FAILURE)
        }
        Err(_) => {
            screen::complain(&Failure::bug());
            ExitCode::from(OWN_FAILURE)
        }
    }
}

fn dispatch(command: Command) -> Result<u8, Failure> {
    match command {
        Command::Run(args) => run::run(&args),
        Command::Walk(args) => walk::walk(&args),
        Command::Bench(args) => bench::bench(&args),
        Command::Cut(args) => cut::cut(&args),
        Command::Fallback(args) => fallback::fallback(&args),
        Command::Shrink(args) => shrink::shrink(&args),
        Command::Matrix(args) => matrix::matrix(&args),
        Command::Agree(args) => agree::agree(&args),
        Command::Case(args) => case::case(&args),
        Command::Replay(args) => replay::replay(&args),
        Command::Diff(args) => diff::diff(&args),
        Command::Report(args) => report::report(&args),
        Command::Doctor(args) => doctor::doctor(&args),
        Command::Worker => crate::worker::serve().map(|()| 0).map_err(Failure::worker),
    }
}
