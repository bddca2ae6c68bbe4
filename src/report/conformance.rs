//! ONNX's backend tests on every target: for each operator how many of the tests that contain it pass.

use super::markdown::{code, prose, table};
use super::matrix::plural;
use super::text::{table_with_names, wrapped};
use crate::matrix::{Cell, Mark, Matrix};
use crate::verdict::Kind;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// How many tests that do not pass are shown without -v.
const MOST: usize = 12;

/// The results of tests in words, each with its kinds of verdict.
const ENDS: [(&str, &[Kind]); 6] = [
    ("pass", &[Kind::Agrees, Kind::Explained]),
    ("wrong", &[Kind::Divergent, Kind::Precision, Kind::Nonfinite, Kind::Nondeterministic]),
    ("refused", &[Kind::Rejected]),
    ("crash", &[Kind::Crashed]),
    ("hang", &[Kind::TimedOut]),
    ("not run", &[Kind::Inconclusive, Kind::FellBack, Kind::Unavailable]),
];

/// The tests as text: operators against targets, then the tests that did not pass, with reasons. `verbose` shows
/// all of them.
pub fn conformance_text(matrix: &Matrix, width: usize, verbose: bool) -> String {
    let mut text = format!(
        "{} on {}\n\n",
        plural(matrix.rows.len(), "ONNX backend test"),
        plural(matrix.columns.len(), "target")
    );
    let titles: Vec<String> = titles(matrix);
    let titles: Vec<&str> = titles.iter().map(String::as_str).collect();
    text.push_str(&table_with_names(&titles, rows(matrix), 0, width));
    text.push('\n');
    for column in &matrix.columns {
        text.push_str(&wrapped(
            &format!("{}: {}", column.target, total(matrix, &column.target)),
            width,
        ));
    }
    let failed = failed(matrix);
    let shown = if verbose { failed.len() } else { MOST.min(failed.len()) };
    text.push('\n');
    for (test, target, cell) in &failed[..shown] {
        text.push_str(&wrapped(
            &format!("{test} on {target}: {}: {}", cell.kind, cell.sentence),
            width,
        ));
    }
    if shown < failed.len() {
        let _ = writeln!(text, "… {} more did not pass; -v lists them all", failed.len() - shown);
    }
    text
}

/// The head of a Markdown document: operators against targets, and totals.
pub fn conformance_markdown(matrix: &Matrix) -> String {
    let titles: Vec<String> = titles(matrix);
    let titles: Vec<&str> = titles.iter().map(String::as_str).collect();
    let totals: Vec<Vec<String>> = matrix
        .columns
        .iter()
        .map(|column| vec![code(&column.target), total(matrix, &column.target)])
        .collect();
    let shares: Vec<Vec<String>> =
        rows(matrix).iter().map(|row| row.iter().map(|cell| prose(cell)).collect()).collect();
    [
        "# ONNX backend tests\n".to_owned(),
        "Of the tests that contain an operator, how many give the outputs that ONNX ships (rtol 1e-3, atol 1e-7, ONNX's own limits, or the rounding of the element type).\n".to_owned(),
        table(["target", "tests"], &totals),
        table(titles.as_slice(), &shares),
    ]
    .join("\n")
}

fn titles(matrix: &Matrix) -> Vec<String> {
    let targets = matrix.columns.iter().map(|column| column.target.clone());
    ["operator".to_owned()].into_iter().chain(targets).collect()
}

/// A row for each operator: `12` if all its tests pass, else `9 of 12`.
fn rows(matrix: &Matrix) -> Vec<Vec<String>> {
    let operators: BTreeSet<&String> = matrix.rows.iter().flat_map(|row| &row.op_types).collect();
    let share = |operator: &String, target: &str| {
        let with = matrix.rows.iter().filter(|row| row.op_types.contains(operator));
        let cells: Vec<_> = with.filter_map(|row| row.cells.get(target)).collect();
        let pass = cells.iter().filter(|cell| cell.mark() == Mark::Right).count();
        match pass == cells.len() {
            true => pass.to_string(),
            false => format!("{pass} of {}", cells.len()),
        }
    };
    let row = |operator: &String| {
        let shares = matrix.columns.iter().map(|column| share(operator, &column.target));
        [operator.clone()].into_iter().chain(shares).collect()
    };
    operators.into_iter().map(row).collect()
}

/// `140 pass, 3 wrong, 12 refused`.
fn total(matrix: &Matrix, target: &str) -> String {
    let mut counts = BTreeMap::<usize, usize>::new();
    for cell in matrix.rows.iter().filter_map(|row| row.cells.get(target)) {
        let end = ENDS.iter().position(|(_, kinds)| kinds.contains(&cell.kind));
        *counts.entry(end.unwrap_or(ENDS.len() - 1)).or_default() += 1;
    }
    let words: Vec<String> =
        counts.into_iter().map(|(end, count)| format!("{count} {}", ENDS[end].0)).collect();
    words.join(", ")
}

/// Every cell that is not right, test by test.
fn failed(matrix: &Matrix) -> Vec<(&str, &str, &Cell)> {
    let cells =
        matrix.cells().filter_map(|(row, target, cell)| Some((row.name.as_str(), target, cell?)));
    cells.filter(|(_, _, cell)| cell.mark() != Mark::Right).collect()
}
