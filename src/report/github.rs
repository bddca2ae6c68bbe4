//! Annotations for a run of GitHub Actions: one line for each target.

use super::checks::title;
use super::document::Report;
use super::remarks::sentence;
use crate::verdict::News;

/// The workflow commands. GitHub shows them next to the run and in the pull request.
pub(super) fn github(report: &Report) -> String {
    let line = |target| {
        let target: &super::document::TargetReport = target;
        let level = match target.verdict.kind.news() {
            News::Good => "notice",
            News::Bad => "error",
            News::None => "warning",
        };
        let kind = target.verdict.kind.name().replace('_', " ");
        let heading = property(&format!("offby: {} {kind}", target.target));
        let hint = target.verdict.hint.as_ref();
        let hint = hint.map_or_else(String::new, |hint| format!("\nNext: {hint}."));
        let words = format!("{}: {}.{hint}", report.model.path, sentence(report, target));
        format!("::{level} title={heading}::{}\n", message(&words))
    };
    let lines: String = report.targets.iter().map(line).collect();
    match lines.is_empty() {
        true => format!("::warning::{}\n", message(&title(report))),
        false => lines,
    }
}

/// A message may not have line ends, and `%` begins an escape.
fn message(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// A property ends at a comma or colon.
fn property(text: &str) -> String {
    message(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_property_has_no_separators() {
        assert_eq!(property("mnn:cpu, 5 %\n"), "mnn%3Acpu%2C 5 %25%0A");
    }
}
