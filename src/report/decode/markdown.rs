//! Decoding for an issue or a page of a repository.

use super::{facts, legend, remarks, sentence, table as rows_of, title};
use crate::decode::Decode;
use crate::report::markdown::{code, prose, table};

/// Decoding as Markdown.
pub fn decode_markdown(decode: &Decode) -> String {
    let mut sections = vec![format!("# {}\n", prose(&title(decode)))];
    sections.push(format!("{}.\n", prose(&facts(decode).join("; "))));
    let (titles, rows) = rows_of(decode);
    let named = |row: &Vec<String>| -> Vec<String> {
        let others = row.iter().skip(1).map(|cell| prose(cell));
        row.first().map(|name| code(name)).into_iter().chain(others).collect()
    };
    let rows: Vec<Vec<String>> = rows.iter().map(named).collect();
    sections.push(table(titles, &rows));
    sections.push(format!("{}.\n", prose(legend())));
    for lane in &decode.targets {
        sections.push(format!("## {}\n", code(&lane.target)));
        sections.push(format!("{}.\n", prose(&sentence(lane))));
        let lines: Vec<String> =
            remarks(lane).iter().map(|line| format!("- {}", prose(line))).collect();
        if !lines.is_empty() {
            sections.push(format!("{}\n", lines.join("\n")));
        }
    }
    sections.join("\n")
}
