//! The terminal view of a saved report: the one of its own command.

use super::Paint;
use super::bench_text::bench_text;
use super::document::Report;
use super::fallback_text::fallback_text;
use super::text::run_text;
use super::versions::versions_text;
use super::walk_text::walk_text;

/// A saved report, as its own command printed the report.
pub fn report_text(report: &Report, width: usize, paint: Paint) -> String {
    match report.command.as_str() {
        "run" => run_text(report, width, paint),
        "fallback" => fallback_text(report, width, paint),
        "bench" => bench_text(report, width, false, paint),
        "bisect" => versions_text(report, width, paint),
        _ => walk_text(report, false, width, paint),
    }
}
