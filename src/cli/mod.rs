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
mod conformance;
mod cut;
mod diff;
mod doctor;
mod environment;
mod fallback;
mod jobs;
mod matrix;
mod matrix_from;
mod matrix_run;
mod network_name;
mod place;
mod place_for_results;
mod prepare;
mod replay;
mod report;
mod run;
mod screen;
mod shared_args;
mod shrink;
mod stored;
mod walk;

use crate::session::Failure;
use crate::worker::interrupt;
use args::{Arguments, Command};
use clap::Parser as _;
use std::panic::catch_unwind;
use std::process::ExitCode;

/// Exit code of our own failures: usage, files, bugs.
const OWN_FAILURE: u8 = 2;

/// Exit code of a program that its user ended twice: that of a shell for SIGINT.
const INTERRUPTED_TWICE: i32 = 130;

/// Runs the program named by the process's arguments.
///
/// Exit codes: 0 all agree, 1 a divergence was found, 2 our own failure, 3 inconclusive.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if !matches!(arguments.command, Command::Worker) {
        listen_for_interruption();
    }
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

/// The first Ctrl-C ends what is running, and what was found by then is told; the second ends this program.
#[expect(clippy::exit, reason = "whoever asks twice does not wait for anybody")]
fn listen_for_interruption() {
    let heard = || match interrupt() {
        true => screen::note(
            "interrupted: ending what runs, to tell what was found; Ctrl-C again ends at once",
        ),
        false => std::process::exit(INTERRUPTED_TWICE),
    };
    // Where signals cannot be handled, they end the program as ever.
    let _ = ctrlc::set_handler(heard);
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
