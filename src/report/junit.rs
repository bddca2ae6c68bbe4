//! A report as JUnit XML: a suite for the network, a test for each target.

use super::document::{Report, TargetReport};
use super::remarks::remarks;
use super::text::simulated;
use crate::verdict::News;
use quick_junit::{NonSuccessKind, TestCase, TestCaseStatus, TestSuite};
use std::time::Duration;

/// `offby run` and `offby walk` as JUnit XML: a target that diverges fails, and a target that cannot be judged is
/// skipped.
///
/// # Errors
/// If the XML cannot be written.
pub fn report_junit(report: &Report) -> Result<String, String> {
    let mut suite = TestSuite::new(report.model.path.clone());
    for target in &report.targets {
        suite.add_test_case(test(report, target));
    }
    let mut junit = quick_junit::Report::new(format!("offby {}", report.command));
    junit.add_test_suite(suite);
    junit.to_string().map_err(|error| error.to_string())
}

fn test(report: &Report, target: &TargetReport) -> TestCase {
    let verdict = &target.verdict;
    let mut status = match verdict.kind.news() {
        News::Good => TestCaseStatus::success(),
        News::Bad => TestCaseStatus::non_success(NonSuccessKind::Failure),
        News::None => TestCaseStatus::skipped(),
    };
    if verdict.kind.news() != News::Good {
        status.set_type(verdict.kind.name());
        status.set_message(verdict.sentence.clone());
    }
    let strategy = target.walk.as_ref().filter(|_| report.strategies.is_some());
    let name = match strategy {
        Some(walk) => format!("{} ({})", target.target, walk.strategy),
        None => target.target.clone(),
    };
    let mut test = TestCase::new(name, status);
    test.set_classname(report.model.path.clone());
    if let Some(runs) = &target.runs {
        let seconds = runs.open_seconds + runs.seconds.iter().sum::<f64>();
        test.set_time(Duration::try_from_secs_f64(seconds).unwrap_or_default());
    }
    let mut lines: Vec<String> = report.judged_again.iter().map(|again| again.words()).collect();
    lines.push(verdict.sentence.clone());
    lines.extend(remarks(report));
    lines.extend(simulated(&target.target, target.ran_on.as_ref()));
    for comparison in target.outputs.iter().filter_map(|output| output.comparison.as_ref()) {
        lines.push(format!("reference {}", comparison.reference_preview));
        lines.push(format!("candidate {}", comparison.preview));
    }
    test.set_system_out(lines.join("\n"));
    test
}
