//! The matrix for an issue or a page of a repository: the table first, reasons folded by target.

use super::{
    CellTally, NOT_RUN, changed, facts, fed_alike, findings, label, legend, plural, ran_on,
    rows_are, since, specs, title, words,
};
use crate::matrix::{Mark, Matrix};
use crate::report::markdown::{code, prose, table};
use crate::verdict::Kind;
use maud::html;

/// How many rows are named with one reason.
const MOST_ROWS: usize = 8;

/// A matrix as Markdown.
pub fn matrix_markdown(matrix: &Matrix) -> String {
    let mut sections = vec![format!("# {}\n", prose(&title(matrix)))];
    sections.push(format!("{}.\n", prose(&facts(matrix).join("; "))));
    sections.push(cells(matrix));
    sections.push(format!("{}\n", legend(matrix, symbol)));
    sections.extend(changes(matrix));
    sections.push("## Targets\n".into());
    sections.push(targets(matrix));
    sections.extend(reasons(matrix));
    sections.join("\n")
}

fn symbol(mark: Mark) -> &'static str {
    match mark {
        Mark::Right => "✅",
        Mark::Mended => "☑️",
        Mark::Wrong => "❌",
        Mark::Refused => "🚫",
        Mark::FellBack => "↩️",
        Mark::Unknown => "❔",
    }
}

fn cells(matrix: &Matrix) -> String {
    let heads = matrix.columns.iter().map(|column| {
        let simulated = if column.simulated { " (simulated)" } else { "" };
        format!("{}{simulated}", code(&column.target))
    });
    let titles: Vec<String> = [rows_are(matrix).to_owned()].into_iter().chain(heads).collect();
    let titles: Vec<&str> = titles.iter().map(String::as_str).collect();
    let rows: Vec<Vec<String>> = matrix
        .rows
        .iter()
        .map(|row| {
            let fed = fed_alike(matrix).is_none().then(|| format!(" ({})", specs(row)));
            let name = label(matrix, row) + &fed.unwrap_or_default();
            let cell = |target: &str| match row.cells.get(target) {
                None => NOT_RUN.to_owned(),
                Some(cell) => {
                    let words = words(matrix, row, target, cell);
                    format!("{} {}", symbol(cell.mark()), prose(&words))
                }
            };
            let cells = matrix.columns.iter().map(|column| cell(&column.target));
            [prose(&name)].into_iter().chain(cells).collect()
        })
        .collect();
    table(titles, &rows)
}

fn targets(matrix: &Matrix) -> String {
    let row = |column| {
        let (counts, place) = (CellTally::column(matrix, column).words(), ran_on(matrix, column));
        [code(&column.target), counts, prose(&place)]
    };
    let rows: Vec<[String; 3]> = matrix.columns.iter().map(row).collect();
    table(["target", "cells", "ran on"], &rows)
}

fn changes(matrix: &Matrix) -> Vec<String> {
    let Some(since) = since(matrix) else { return Vec::new() };
    let line = |change: &&crate::matrix::CellChange| {
        let (state, target) = (change.state.name(), code(&change.target));
        format!("- {state}: {} on {target}: {}\n", prose(&change.row), prose(&change.words))
    };
    vec![format!("## Changes\n\n{}.\n", prose(&since)), changed(matrix).iter().map(line).collect()]
}

/// The reasons of cells that do not simply agree, target by target.
fn reasons(matrix: &Matrix) -> Vec<String> {
    let mut sections = vec!["## Reasons\n".to_owned()];
    for column in &matrix.columns {
        let findings = findings(matrix, column, |cell| cell.kind != Kind::Agrees);
        if findings.is_empty() {
            continue;
        }
        let rows: Vec<[String; 3]> = findings
            .iter()
            .map(|finding| {
                let kind = finding.kind.name().replace('_', " ");
                [named(&finding.labels()), kind, prose(finding.sentence)]
            })
            .collect();
        let list = table([rows_are(matrix), "says", "because"], &rows);
        // The content of a summary is HTML, not Markdown.
        let (target, count) =
            (html! { (column.target) }.into_string(), plural(findings.len(), "reason"));
        sections.push(format!(
            "<details>\n<summary><code>{target}</code>: {count}</summary>\n\n{list}\n</details>\n"
        ));
    }
    if sections.len() == 1 { Vec::new() } else { sections }
}

fn named(rows: &[&str]) -> String {
    let mut named: Vec<String> = rows.iter().take(MOST_ROWS).map(|row| prose(row)).collect();
    if rows.len() > MOST_ROWS {
        named.push(format!("{} more", rows.len() - MOST_ROWS));
    }
    named.join(", ")
}
