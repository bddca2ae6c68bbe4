//! The terminal view of `offby fallback`.

use super::Paint;
use super::document::Report;
use super::fallback::{MEMBER_TITLES, TRADE_TITLES, member_rows, sentences, trade_rows};
use super::text::{heading, table_with_names, verdict_text, wrapped};

/// The set, the trade where there is no small one, and what is said of them.
pub fn fallback_text(report: &Report, width: usize, paint: Paint) -> String {
    let mut text = heading(report);
    for target in &report.targets {
        let Some(fallback) = &target.fallback else {
            text.push_str(&verdict_text(target, width, paint));
            continue;
        };
        let members = member_rows(fallback);
        if !members.is_empty() && fallback.is_small() {
            text.push_str(&table_with_names(&MEMBER_TITLES, members, 0, width));
        }
        if !fallback.curve.is_empty() {
            text.push_str(&table_with_names(&TRADE_TITLES, trade_rows(fallback), 0, width));
        }
        text.push('\n');
        for sentence in sentences(target, fallback) {
            text.push_str(&wrapped(&sentence, width));
        }
    }
    text
}
