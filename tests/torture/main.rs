//! Workers that go wrong in every way at every stage, through the code that supervises them. Each end must be
//! named as planted, with the operator that was running, and no process or file may remain.
//!
//! As an ordinary test it plants few failures; `just torture` plants 1,000. `-- --deaths N --seed S` plants
//! others. This program is also the tortured worker, and the process that such a worker leaves behind.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::exit,
    reason = "this is a program to be read"
)]

mod commands;
mod field;
mod leftovers;
mod plan;
mod saboteur;
mod tally;
mod trial;

use leftovers::{MARK, Resources, Surroundings};
use offby::worker::WorkerProgram;
use plan::Plan;
use std::env;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;
use tally::Tally;

/// How many failures are planted by default, and how many workers die at once: most of the time is waiting.
const FEW: usize = 63;
const AT_ONCE: usize = 16;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("worker") => match saboteur::serve(&arguments[1..]) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("error: {error}");
                ExitCode::FAILURE
            }
        },
        Some("linger") => {
            saboteur::linger(arguments.get(1).map_or("", String::as_str));
            ExitCode::SUCCESS
        }
        _ if arguments.iter().any(|argument| argument == "--list") => ExitCode::SUCCESS,
        _ if is_filtered_out(&arguments) => ExitCode::SUCCESS,
        _ if env::var_os(MARK).is_some() => inside(&arguments),
        _ => outside(&arguments),
    }
}

/// `cargo test WORDS` passes the words to every test.
fn is_filtered_out(arguments: &[String]) -> bool {
    let ours = |at: usize| at > 0 && ["--deaths", "--seed"].contains(&arguments[at - 1].as_str());
    let filters =
        arguments.iter().enumerate().filter(|(at, word)| !word.starts_with('-') && !ours(*at));
    let mut filters = filters.map(|(_, word)| word).peekable();
    filters.peek().is_some() && !filters.any(|word| "torture".contains(word.as_str()))
}

fn number(arguments: &[String], name: &str, otherwise: usize) -> usize {
    let at = arguments.iter().position(|argument| argument == name);
    let text = at.and_then(|at| arguments.get(at + 1));
    text.map_or(otherwise, |text| text.parse().expect("it is a number"))
}

/// Runs all of it in a process with its own mark and its own folder for temporary files. Looks at the leftovers
/// once that process is gone.
fn outside(arguments: &[String]) -> ExitCode {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let surroundings = Surroundings::now(folder.path());
    let started = Instant::now();
    let mut command = Command::new(env::current_exe().expect("this program has a file"));
    command.args(arguments).env(MARK, &surroundings.mark).env("TMPDIR", folder.path());
    // If a driver were chosen by starting again, the saboteur on the pipes would be lost.
    command.env("OCL_ICD_VENDORS", "/etc/OpenCL/vendors");
    let status = command.status().expect("this program starts again");
    let left = surroundings.left();
    for line in &left {
        println!("left behind: {line}");
    }
    if left.is_empty() {
        println!("nothing left behind: no process, no temporary file, no shared memory");
    }
    println!("{:.0} s", started.elapsed().as_secs_f64());
    match status.success() && left.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

fn inside(arguments: &[String]) -> ExitCode {
    let deaths = number(arguments, "--deaths", FEW);
    let seed = number(arguments, "--seed", 1) as u64;
    let folder = tempfile::tempdir().expect("a folder can be made");
    let offby = WorkerProgram::offby(PathBuf::from(env!("CARGO_BIN_EXE_offby")));
    let fields = field::networks(folder.path(), &offby);
    let before = Resources::now();
    let through_commands = deaths / 20;
    let tally = Mutex::new(Tally::default());
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    if at >= deaths {
                        break;
                    }
                    let plan = Plan::draw(seed, at, fields.len());
                    let seen = match at < deaths - through_commands {
                        true => trial::run(&plan, &fields[plan.network]),
                        false => commands::run(&plan, &fields[plan.network]),
                    };
                    tally.lock().expect("nobody panics with it").add(at, &plan, seen);
                }
            });
        }
    });
    let mut tally = tally.into_inner().expect("nobody panics with it");
    tally.killed = Some(commands::killed_parents(&fields[0]));
    tally.grown = before.grown();
    println!(
        "seed {seed}: {deaths} deaths, {through_commands} of them through `offby walk --via`\n\n{}",
        tally.text()
    );
    if tally.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
