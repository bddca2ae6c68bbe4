//! The results of a set of cases: as they are saved, for the terminal, and as JUnit XML.

use super::Paint;
use super::document::{TargetReport, ToolReport};
use super::text::{columns, shortened, trimmed, wrapped};
use crate::case::{Case, CaseKind};
use crate::verdict::Kind;
use prettytable::{Cell, Row, Table};
use quick_junit::{NonSuccessKind, TestCase, TestCaseStatus, TestSuite};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

/// The schema of a report on cases.
pub const CASES_SCHEMA: &str = "offby.cases/1";

/// The results of a set of cases.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CasesReport {
    /// [`CASES_SCHEMA`].
    pub schema: String,
    /// The program that wrote the report.
    pub tool: ToolReport,
    /// Every case, in the order of the files.
    pub cases: Vec<CaseReport>,
    /// Seconds it took.
    pub seconds: f64,
    /// Whether the user stopped the command. Cases that had not finished are missing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub interrupted: bool,
}

/// The result of one case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CaseReport {
    /// Its id.
    pub id: String,
    /// Its title.
    pub title: String,
    /// Its file.
    pub file: String,
    /// The sort of divergence that the case shows.
    pub kind: Option<CaseKind>,
    /// The address of the first report.
    pub upstream: Option<String>,
    /// Every target, in the file's order.
    pub targets: Vec<CaseTargetReport>,
    /// Why the case could not run.
    pub failure: Option<String>,
}

/// The result of one target of a case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CaseTargetReport {
    /// Whether the target was as expected.
    pub status: CaseStatus,
    /// The differences from the expectation, or the reason why there is no comparison.
    pub differences: Vec<String>,
    /// The reason given with the expectation.
    pub reason: Option<String>,
    /// The expectation, in a word.
    pub expected: Option<String>,
    /// Seconds it took.
    pub seconds: f64,
    /// The full report on the target.
    pub report: TargetReport,
}

/// Whether a target was as expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CaseStatus {
    /// The target was as expected.
    AsExpected,
    /// The target was not as expected.
    Unexpected,
    /// The target is not available here.
    Skipped,
    /// The case has no expectation for the target or for this driver.
    Unjudged,
}

impl CaseStatus {
    fn words(self) -> &'static str {
        match self {
            CaseStatus::AsExpected => "as expected",
            CaseStatus::Unexpected => "NOT AS EXPECTED",
            CaseStatus::Skipped => "skipped",
            CaseStatus::Unjudged => "not judged",
        }
    }
}

impl CasesReport {
    /// The number of targets with each status.
    pub fn counts(&self) -> BTreeMap<CaseStatus, usize> {
        let mut counts = BTreeMap::new();
        for target in self.cases.iter().flat_map(|case| &case.targets) {
            *counts.entry(target.status).or_default() += 1;
        }
        counts
    }

    /// 1 if a target is not as expected, 2 if a case could not run, 3 if no target was compared, else 0.
    pub fn exit_code(&self) -> u8 {
        let count = |status| self.counts().get(&status).copied().unwrap_or(0);
        if self.cases.iter().any(|case| case.failure.is_some()) {
            2
        } else if count(CaseStatus::Unexpected) > 0 {
            1
        } else if self.interrupted || count(CaseStatus::AsExpected) == 0 {
            3
        } else {
            0
        }
    }
}

/// The name of a kind's group.
fn group(kind: Option<CaseKind>) -> String {
    kind.and_then(|kind| serde_json::to_value(kind).ok())
        .and_then(|name| name.as_str().map(str::to_owned))
        .unwrap_or_else(|| "other".to_owned())
}

/// `offby case run` as text: a table for each kind, the unexpected results, the counts.
pub fn cases_text(report: &CasesReport, width: usize, paint: Paint) -> String {
    let mut groups: BTreeMap<String, Vec<&CaseReport>> = BTreeMap::new();
    for case in &report.cases {
        groups.entry(group(case.kind)).or_default().push(case);
    }
    let mut text = String::new();
    for (name, cases) in &groups {
        let _ = writeln!(text, "{name}");
        text.push_str(&table(cases, width));
        text.push('\n');
    }
    text.push_str(&complaints(report, width, paint));
    let counts: Vec<String> =
        report.counts().iter().map(|(status, n)| format!("{n} {}", status.words())).collect();
    let _ = writeln!(
        text,
        "{}{} cases, {} targets: {}; {:.1} s",
        if report.interrupted { "interrupted: " } else { "" },
        report.cases.len(),
        report.cases.iter().map(|case| case.targets.len()).sum::<usize>(),
        counts.join(", "),
        report.seconds
    );
    text
}

fn table(cases: &[&CaseReport], width: usize) -> String {
    let mut table = Table::new();
    table.set_format(columns());
    let name = width.saturating_sub(54).clamp(14, 40);
    for case in cases {
        for (number, target) in case.targets.iter().enumerate() {
            let id = if number == 0 { case.id.as_str() } else { "" };
            table.add_row(Row::new(vec![
                Cell::new(&shortened(id, name)),
                Cell::new(&shortened(&target.report.target, 28)),
                Cell::new(target.report.verdict.kind.name()),
                Cell::new(target.status.words()),
            ]));
        }
    }
    trimmed(&table)
}

fn complaints(report: &CasesReport, width: usize, paint: Paint) -> String {
    let mut text = String::new();
    for case in &report.cases {
        if let Some(failure) = &case.failure {
            let _ = writeln!(text, "{} ({})", paint(Kind::Divergent, &case.id), case.file);
            text.push_str(&wrapped(failure, width));
        }
        let loud = [CaseStatus::Unexpected, CaseStatus::Skipped];
        for target in case.targets.iter().filter(|target| loud.contains(&target.status)) {
            let words = target.status.words();
            let id = match target.status {
                CaseStatus::Unexpected => paint(Kind::Divergent, &case.id),
                _ => case.id.clone(),
            };
            let _ = writeln!(text, "{id} on {}: {words} ({})", target.report.target, case.file);
            for difference in &target.differences {
                text.push_str(&wrapped(difference, width));
            }
        }
    }
    if !text.is_empty() {
        text.push('\n');
    }
    text
}

/// `offby case list` as text.
pub fn cases_list(cases: &[(PathBuf, Case)], width: usize) -> String {
    let mut table = Table::new();
    table.set_format(columns());
    table.set_titles(Row::new(["case", "kind", "targets", "title"].map(Cell::new).to_vec()));
    for (_, case) in cases {
        table.add_row(Row::new(vec![
            Cell::new(&case.id),
            Cell::new(&group(case.kind)),
            Cell::new(&case.targets.len().to_string()),
            Cell::new(&shortened(&case.title, width.saturating_sub(50).max(20))),
        ]));
    }
    trimmed(&table)
}

/// The cases as JUnit XML: a suite for each case, a test for each target.
///
/// # Errors
/// If the XML cannot be written.
pub fn cases_junit(report: &CasesReport) -> Result<String, String> {
    let mut junit = quick_junit::Report::new("offby");
    for case in &report.cases {
        let mut suite = TestSuite::new(case.id.clone());
        if let Some(failure) = &case.failure {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
            status.set_message(failure.clone());
            suite.add_test_case(TestCase::new(case.title.clone(), status));
        }
        for target in &case.targets {
            suite.add_test_case(junit_test(case, target));
        }
        junit.add_test_suite(suite);
    }
    junit.to_string().map_err(|error| error.to_string())
}

fn junit_test(case: &CaseReport, target: &CaseTargetReport) -> TestCase {
    let message = target.differences.join("\n");
    let status = match target.status {
        CaseStatus::AsExpected => TestCaseStatus::success(),
        CaseStatus::Unexpected => {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            status.set_message(message);
            status
        }
        CaseStatus::Skipped | CaseStatus::Unjudged => {
            let mut status = TestCaseStatus::skipped();
            status.set_message(message);
            status
        }
    };
    let mut test = TestCase::new(target.report.target.clone(), status);
    test.set_classname(case.title.clone());
    test.set_time(Duration::from_secs_f64(target.seconds));
    test.set_system_out(target.report.verdict.sentence.clone());
    test
}
