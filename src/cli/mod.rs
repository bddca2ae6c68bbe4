//! Parses and resolves arguments, connects the other modules, and prints all output.

mod agree;
mod agree_args;
mod agree_inputs;
mod agree_lane;
mod agree_opened;
mod agree_run;
mod agree_walk;
mod answer;
mod args;
mod audit;
mod audit_args;
mod bench;
mod bisect;
mod bundle;
mod capture;
mod case;
mod case_run;
mod compare;
mod compare_args;
mod conformance;
mod cut;
mod decode;
mod decode_args;
mod decode_document;
mod diff;
mod doctor;
mod explode;
mod fallback;
mod jobs;
mod layers;
mod matrix;
mod matrix_decode;
mod matrix_from;
mod matrix_pages;
mod matrix_run;
mod network_name;
mod passes;
mod place;
mod place_for_results;
mod prepare;
mod quantised;
mod quantised_args;
mod releases;
mod replay;
mod report;
mod report_args;
mod run;
mod screen;
mod shared_args;
mod shell;
mod shrink;
mod stored;
mod version;
mod walk;
mod walk_dump;

use crate::session::Failure;
use crate::worker::Interrupt;
use args::{Arguments, Command, ReportCommand};
use clap::Parser as _;
use clap::error::{ContextKind, ContextValue};
use std::panic::catch_unwind;
use std::process::ExitCode;

/// Exit code of offby's own failures: usage, files, bugs.
const OWN_FAILURE: u8 = 2;

/// Exit code after a second Ctrl-C: a shell's exit code for SIGINT.
const INTERRUPTED_TWICE: i32 = 130;

/// Runs the program named by the process's arguments.
///
/// Exit codes: 0 all targets agree, 1 a target diverges, 2 offby's own failure, 3 inconclusive.
pub fn main() -> ExitCode {
    let arguments = Arguments::try_parse().unwrap_or_else(|error| advised(error).exit());
    if !matches!(arguments.command, Command::Worker) {
        listen_for_interruption();
    }
    // A panic is a bug in offby. It must not look like a finding.
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

/// A wrong command line, with a hint if several targets were given to a command that takes one.
fn advised(mut error: clap::Error) -> clap::Error {
    let about = |kind| error.get(kind).map(ToString::to_string);
    let given = about(ContextKind::InvalidArg).filter(|given| given.starts_with("--on"));
    if given.is_some() && given == about(ContextKind::PriorArg) {
        let hint = "this command takes one target; `offby run` compares several";
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![hint.into()]));
    }
    error
}

/// The first Ctrl-C ends the current run, and the command reports its findings so far. The second ends this program.
#[expect(clippy::exit, reason = "a user who asks twice does not wait")]
fn listen_for_interruption() {
    let heard = || match Interrupt::of_process().set() {
        true => screen::note(
            "interrupted: stopping the runs and reporting what was found; press Ctrl-C again to exit at once",
        ),
        false => std::process::exit(INTERRUPTED_TWICE),
    };
    // Without a handler, signals end the program as usual.
    let _ = ctrlc::set_handler(heard);
}

fn dispatch(command: Command) -> Result<u8, Failure> {
    match command {
        Command::Run(args) => run::run(&args),
        Command::Walk(args) => walk::walk(&args),
        Command::Bench(args) => bench::bench(&args),
        Command::Bisect(args) => bisect::bisect(&args),
        Command::Audit(args) => audit::audit(&args),
        Command::Cut(args) => cut::cut(&args),
        Command::Explode(args) => explode::explode(&args),
        Command::Fallback(args) => fallback::fallback(&args),
        Command::Shrink(args) => shrink::shrink(&args),
        Command::Matrix(args) => matrix::matrix(&args),
        Command::Agree(args) => agree::agree(&args),
        Command::Decode(args) => decode::decode(&args),
        Command::Case(args) => case::case(&args),
        Command::Replay(args) => replay::replay(&args),
        Command::Diff(args) => diff::diff(&args),
        Command::Report(args) => match &args.command {
            ReportCommand::Render(args) => report::render(args),
            ReportCommand::Bundle(args) => bundle::bundle(args),
            ReportCommand::Diff(args) => report::diff(args),
            ReportCommand::Schema => report::schema(),
        },
        Command::Doctor(args) => doctor::doctor(&args),
        Command::Compare(args) => compare::compare(&args),
        Command::Completions(args) => shell::completions(&args),
        Command::Man => shell::manual(),
        Command::Worker => crate::worker::serve().map(|()| 0).map_err(Failure::worker),
    }
}
