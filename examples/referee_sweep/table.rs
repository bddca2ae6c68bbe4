//! The report in Markdown.

use super::answers::Party;
use super::classes::Class;
use super::rows::{Cell, Open, Row, Rows};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The most lines in each list at the end.
const MOST: usize = 400;

/// The whole report.
pub(crate) fn markdown(
    rows: &Rows,
    versions: &BTreeMap<String, String>,
    networks: usize,
    seed: u64,
) -> String {
    let mut text = head(versions, seed);
    let _ = write!(text, "## Summary\n\n{}\n", counts(rows, networks));
    let columns: Vec<&str> = Party::COLUMNS.iter().map(|party| party.name()).collect();
    let _ = writeln!(
        text,
        "## Where somebody is wrong\n\n| operator | input class | {} | for example |",
        columns.join(" | ")
    );
    let _ = writeln!(text, "| --- | --- |{} --- |", " --- |".repeat(columns.len()));
    for ((op_type, class), row) in &rows.rows {
        if let Some(line) = line(op_type, *class, row) {
            let _ = writeln!(text, "{line}");
        }
    }
    text += &list(
        "Two against two",
        "The right value has one other code behind it, and two codes agree on another one. The table follows the rule above.",
        &rows.contested,
    );
    text += &undefined(rows);
    text += &list("Undecided", "No two codes agree. The first numbers of each:", &rows.undecided);
    text
}

fn head(versions: &BTreeMap<String, String>, seed: u64) -> String {
    let version = |name: &str| versions.get(name).map_or("that did not run", String::as_str);
    format!(
        "# Referee sweep

Every network here has one node. Six engines compute it, and the values are compared. `just referee-sweep` makes this file.

- The networks are ONNX's own tests of single nodes (from the Python package onnx), and a list of our own (`own: ...`).
- Each runs on seven classes of inputs (seed {seed}). *given*: the inputs that come with it. *ordinary*: normal numbers. *large*: the same times 1e4. *tiny*: the same times 1e-6. *negative*: minus their magnitude times 20. *nan*: a tenth is NaN. *infinite*: a tenth is +inf and a tenth is -inf. Integers, booleans and inputs that are parameters stay as given. 16-bit floating-point networks are computed in 32 bits.
- The engines are tract {} as published, offby's reference (the same with offby's kernels for some operators), offby's own kernels in f64, tract in f64, ONNX Runtime {} on the CPU without optimisations, and MNN {} on the CPU at high precision.
- The right value is what ONNX ships for the inputs as given, if another code agrees with it; else that of offby's own kernel, if another code agrees with it; else the value that most codes, and at least two, agree on. tract in all its forms is one code, and offby's reference has no vote. Engines may share a fault, so a row is a reason to look, not a proof. Two values agree within what offby allows in 32 bits: 1e-4 of each number and of the typical one.
- A cell says in how many tests the engine is wrong, of those in which it gave a value and the right one is known, and the largest error: relative L2 distance, `NaN/inf` where one is finite and the other is not, or another `type` or `shape`. `refuses`: it gave no value. `-`: nothing to judge.

",
        version("tract"),
        version("onnxruntime"),
        version("mnn")
    )
}

/// The counts in a few lines.
pub(crate) fn counts(rows: &Rows, networks: usize) -> String {
    let undefined: usize = rows.undefined.values().sum();
    let unable: usize = rows.unable.values().sum();
    let types: std::collections::BTreeSet<&str> =
        rows.rows.keys().map(|(op_type, _)| op_type.as_str()).collect();
    let mut text = format!(
        "{networks} networks of {} operator types, {} trials: {} decided, {} undecided, {} with one answer alone, {undefined} left open by the standard, {unable} that could not be made.\n\n",
        types.len(),
        rows.trials,
        rows.decided,
        rows.undecided.len(),
        rows.alone
    );
    text += "| engine | wrong operators | refusals | which |\n| --- | --- | --- | --- |\n";
    for party in Party::COLUMNS {
        let wrong = rows.wrong(party);
        let names: Vec<String> = wrong
            .iter()
            .map(|(op_type, classes)| {
                let classes: Vec<&str> = classes.iter().map(|class| class.name()).collect();
                format!("{op_type} ({})", classes.join(", "))
            })
            .collect();
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} |",
            party.name(),
            wrong.len(),
            rows.refusals(party),
            names.join("; ")
        );
    }
    let without: Vec<&str> = rows.without_kernel.iter().map(String::as_str).collect();
    let _ = writeln!(text, "\nWithout a kernel of offby's own: {}.", without.join(", "));
    for (reason, count) in &rows.unable {
        let _ = writeln!(text, "- not made: {reason}, {count} times");
    }
    text
}

/// A row, if a code is wrong in it.
fn line(op_type: &str, class: Class, row: &Row) -> Option<String> {
    let cells = Party::COLUMNS.iter().filter_map(|party| row.cells.get(party));
    // The test that most engines get wrong is the best example.
    let mut tests: BTreeMap<&String, usize> = BTreeMap::new();
    for cell in cells.clone() {
        cell.wrong.iter().for_each(|test| *tests.entry(test).or_default() += 1);
    }
    let most = tests.values().max()?;
    let example = tests.iter().find(|(_, count)| *count == most).map(|(test, _)| test.as_str())?;
    let cells: Vec<String> = cells.map(words).collect();
    Some(format!("| {op_type} | {} | {} | {example} |", class.name(), cells.join(" | ")))
}

fn words(cell: &Cell) -> String {
    let gave = cell.right + cell.wrong.len();
    match (cell.worst, gave, cell.refused) {
        (Some(worst), _, _) => format!("wrong {}/{gave} ({})", cell.wrong.len(), worst.words()),
        (None, 1.., _) => "right".into(),
        (None, 0, 1..) => "refuses".into(),
        (None, 0, 0) => "-".into(),
    }
}

fn undefined(rows: &Rows) -> String {
    if rows.undefined.is_empty() {
        return String::new();
    }
    let mut text = "\n## Left open by the standard\n\n".to_owned();
    for ((op_type, what), count) in &rows.undefined {
        let _ = writeln!(text, "- {op_type}: {what} ({count} trials)");
    }
    text
}

fn list(title: &str, what: &str, found: &[Open]) -> String {
    if found.is_empty() {
        return String::new();
    }
    let mut text = format!("\n## {title}\n\n{what}\n\n");
    for Open { op_type, class, test, words } in found.iter().take(MOST) {
        let _ = writeln!(text, "- {op_type}, {}, `{test}`: {words}", class.name());
    }
    if found.len() > MOST {
        let _ = writeln!(text, "- and {} more", found.len() - MOST);
    }
    text
}
