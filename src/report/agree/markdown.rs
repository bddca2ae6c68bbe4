//! A run over a data set for an issue or a page of a repository.

use super::{
    blame, facts, failed, legend, remarks, sentence, table as rows_of, title, worst_table,
};
use crate::agree::{Agree, AgreeLane, Task};
use crate::report::markdown::{code, prose, table};

/// How many of the worst inputs are shown.
const MOST: usize = 10;

/// A run as Markdown.
pub fn agree_markdown(agree: &Agree) -> String {
    let mut sections = vec![format!("# {}\n", prose(&title(agree)))];
    sections.push(format!("{}.\n", prose(&facts(agree).join("; "))));
    let (titles, rows) = rows_of(agree);
    let rows: Vec<Vec<String>> = rows.iter().map(|row| named(row)).collect();
    sections.push(table(titles, &rows));
    sections.push(format!("{}.\n", prose(&legend(agree))));
    agree.targets.iter().for_each(|lane| sections.extend(target(agree.task, lane)));
    sections.join("\n")
}

/// A row whose first cell is a name.
fn named(row: &[String]) -> Vec<String> {
    let others = row.iter().skip(1).map(|cell| prose(cell));
    row.first().map(|name| code(name)).into_iter().chain(others).collect()
}

fn target(task: Task, lane: &AgreeLane) -> Vec<String> {
    let mut sections = vec![format!("## {}\n", code(&lane.target))];
    sections.push(format!("{}.\n", prose(&sentence(lane))));
    let lines: Vec<String> = remarks(lane)
        .into_iter()
        .chain(failed(lane))
        .map(|line| format!("- {}", prose(&line)))
        .collect();
    if !lines.is_empty() {
        sections.push(format!("{}\n", lines.join("\n")));
    }
    let (titles, rows) = worst_table(task, lane, MOST);
    let rows: Vec<Vec<String>> = rows.iter().map(|row| named(row)).collect();
    if !rows.is_empty() {
        sections.push(table(titles, &rows));
    }
    if let Some(found) = &lane.blame {
        sections.push(format!("{}.\n", prose(&blame(found))));
    }
    sections
}
