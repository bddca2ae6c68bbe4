//! The terminal view of `offby fallback`.

use super::Paint;
use super::document::Report;
use super::fallback::{sentences, worth_a_table};
use super::text::{heading, simulated, table_with_names, verdict_text, wrapped};

/// The small set, or else the trade, and the sentences about them.
pub fn fallback_text(report: &Report, width: usize, paint: Paint) -> String {
    let mut text = heading(report);
    for target in &report.targets {
        let Some(fallback) = &target.fallback else {
            text.push_str(&verdict_text(report, target, width, paint));
            continue;
        };
        if let Some((titles, rows)) = worth_a_table(fallback) {
            let rows = rows.into_iter().map(Vec::from).collect();
            text.push_str(&table_with_names(&titles, rows, 0, width));
            text.push('\n');
        }
        for sentence in sentences(target, fallback) {
            text.push_str(&wrapped(&sentence, width));
        }
        if let Some(note) = simulated(&target.target, target.ran_on.as_ref()) {
            text.push_str(&wrapped(&note, width));
        }
    }
    text
}
