//! The terminal view of a search among the versions of an engine.

use super::Paint;
use super::document::{Report, VersionReport, VersionsReport};
use super::text::{shortened, table_with_names, wrapped};
use super::walk_text::walk_text;
use crate::walk::Answer;

/// How many characters of a version's verdict are shown.
const SHOWN: usize = 100;

/// The width of the other columns.
const BESIDE: usize = 40;

/// `offby bisect` as text: the walks of both neighbours, then the versions that were asked.
pub fn versions_text(report: &Report, width: usize, paint: Paint) -> String {
    let Some(versions) = &report.versions else { return walk_text(report, false, width, paint) };
    let row = |asked: &VersionReport| {
        vec![
            asked.version.clone(),
            says(asked.answer).to_owned(),
            shortened(&asked.sentence, SHOWN.min(width.saturating_sub(BESIDE))),
        ]
    };
    let rows = versions.asked.iter().map(row).collect();
    let table = table_with_names(&[versions.package.as_str(), "answer", "verdict"], rows, 0, width);
    format!(
        "{}\n{table}\n{}",
        walk_text(report, false, width, paint),
        wrapped(&sentence(versions), width)
    )
}

fn says(answer: Answer) -> &'static str {
    match answer {
        Answer::Agrees => "right",
        Answer::Diverges => "wrong",
        Answer::Unknown => "unknown",
    }
}

fn sentence(versions: &VersionsReport) -> String {
    let VersionsReport { package, asked, last_right, first_wrong } = versions;
    let count = asked.len();
    if let (Some(right), Some(wrong)) = (last_right, first_wrong) {
        return format!(
            "{package} is right up to {right} and wrong from {wrong} on; {count} versions were asked"
        );
    }
    let newest = asked.last();
    match newest.map(|newest| (newest.answer, &newest.version)) {
        Some((Answer::Agrees, version)) => {
            format!("{package} {version} is right; --bad names a version that is wrong")
        }
        // An older version may have given no answer, which is not a wrong one.
        Some((Answer::Diverges, version)) => format!(
            "{package} {version} is wrong, and no older version that was asked is right; --good names one that was right"
        ),
        _ => format!(
            "{package} gives no answer in its newest version; --bad names one that is wrong"
        ),
    }
}
