//! Computes single nodes by every code that offby knows, on ordinary and on hard inputs, and reports the wrong
//! codes: `cargo run --release --example referee_sweep -- --offby PROGRAM`.
//!
//! The networks are ONNX's own tests of single nodes, and a list of our own. The result is a table in
//! Markdown. tract runs in this process, and its panics are caught; the other engines run in workers.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this is a program to be read")]

mod answers;
mod cases;
mod classes;
mod draft;
mod judge;
mod own;
mod rows;
mod table;

use answers::{Answers, Engines};
use cases::Case;
use clap::Parser;
use classes::Class;
use offby::worker::cache_folder;
use rows::Rows;
use std::path::{Path, PathBuf};

/// Computes single nodes by every code that offby knows, and reports the wrong codes.
#[derive(Parser)]
struct Arguments {
    /// The offby program, which serves the engines.
    #[arg(long)]
    offby: PathBuf,
    /// ONNX's tests of single nodes: a folder of folders that contain `model.onnx`.
    #[arg(long)]
    tests: Option<PathBuf>,
    /// The file for the table.
    #[arg(long, default_value = "reports/referee-sweep.md")]
    out: PathBuf,
    /// The seed of all inputs.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Run only tests with this text in their name or operator type.
    #[arg(long)]
    only: Option<String>,
    /// Print the values of each test in which a code is wrong.
    #[arg(long)]
    values: bool,
}

fn main() -> Result<(), String> {
    let arguments = Arguments::parse();
    let folder = arguments.tests.clone().unwrap_or_else(default_folder);
    let (mut cases, skipped) = cases::find(&folder)?;
    cases.extend(own::cases()?);
    if let Some(only) = &arguments.only {
        cases.retain(|case| case.name.contains(only) || case.op_type.contains(only));
    }
    let (ort, mnn) = answers::engines(&arguments.offby);
    let mut engines = Engines::new(&ort, &mnn);
    let mut rows = Rows::default();
    for (number, case) in cases.iter().enumerate() {
        if number % 100 == 0 {
            eprintln!("{number} of {} networks", cases.len());
        }
        for class in classes::of(case) {
            if let Err(reason) = one(case, class, &arguments, &mut engines, &mut rows) {
                rows.unable(case, class, reason);
            }
        }
    }
    let text = table::markdown(&rows, &engines.versions, cases.len(), arguments.seed);
    write(&arguments.out, &text)?;
    println!("{} tests were left out: {}", skipped.len(), skipped.words());
    print!("{}", table::counts(&rows, cases.len()));
    println!("\nthe table is in {}", arguments.out.display());
    Ok(())
}

/// Runs one network on one class of inputs.
fn one(
    case: &Case,
    class: Class,
    arguments: &Arguments,
    engines: &mut Engines<'_>,
    rows: &mut Rows,
) -> Result<(), String> {
    let feeds = classes::feeds(case, class, arguments.seed);
    let answers = engines.ask(case, &feeds, class == Class::Given)?;
    let judged = judge::judge(&answers);
    if arguments.values && judged.is_interesting() {
        show(case, class, &feeds, &answers, &judged);
    }
    rows.add(case, class, &answers, &judged);
    Ok(())
}

/// Prints everything about one trial.
fn show(
    case: &Case,
    class: Class,
    feeds: &[offby::inputs::Feed],
    answers: &Answers,
    judged: &judge::Judged,
) {
    println!("\n{} ({}), {}: {}", case.name, case.op_type, class.name(), judged.words());
    for feed in feeds {
        println!("  {}: {}", feed.name, answers::shown(&feed.tensor));
    }
    let right = match judged.decision {
        judge::Decision::Right(party) => answers.outputs(party),
        _ => None,
    };
    for (party, line) in answers.lines() {
        let apart = right.zip(answers.outputs(party));
        let apart =
            apart.map(|(right, found)| format!(" ({})", judge::apart(right, found).words()));
        println!("  {}{}: {line}", party.name(), apart.unwrap_or_default());
    }
}

/// The test folder of the package onnx, or the one that `just referee-sweep` makes.
fn default_folder() -> PathBuf {
    let inside = Path::new("site-packages/onnx/backend/test/data/node");
    let pythons =
        std::fs::read_dir(cache_folder().join("venv/lib")).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> =
        pythons.map(|python| python.path().join(inside)).filter(|path| path.is_dir()).collect();
    found.sort();
    found.pop().unwrap_or_else(|| cache_folder().join("onnx-node-tests/node"))
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    let words = |error: std::io::Error| format!("write {}: {error}", path.display());
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(words)?;
    }
    std::fs::write(path, text).map_err(words)
}
