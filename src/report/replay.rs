//! The result of `offby replay`, compared with the finding in the bundle.

use super::Paint;
use super::document::{TargetReport, ToolReport};
use super::text::wrapped;
use crate::bundle::Manifest;
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;

/// The result of a bundle that was run again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReplayReport {
    /// The schema of reports.
    pub schema: String,
    /// The program that wrote the report.
    pub tool: ToolReport,
    /// `replay`.
    pub command: String,
    /// Whether the finding is the same.
    pub sameness: Sameness,
    /// The engine, backend and device that ran here.
    pub ran_on: String,
    /// For each output: its name, the reference's preview here, and the target's preview here.
    pub previews: Vec<(String, String, String)>,
    /// The manifest of the bundle.
    pub then: Manifest,
    /// The result here.
    pub now: TargetReport,
}

/// How the result compares with the bundle's finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sameness {
    /// The verdict's kind is the same.
    Same,
    /// The verdict's kind is different.
    Different,
    /// The target does not run here.
    CannotRun,
}

/// `offby replay` as text.
pub fn replay_text(report: &ReplayReport, width: usize, paint: Paint) -> String {
    let (then, now) = (&report.then.finding, &report.now);
    let words = match report.sameness {
        Sameness::Same => "same finding",
        Sameness::Different => "different",
        Sameness::CannotRun => "cannot run here",
    };
    let mut text = format!("{}\n", paint(now.verdict.kind, words));
    text.push_str(&wrapped(
        &format!("then, on {}: {}: {}", then.target, then.kind, then.sentence),
        width,
    ));
    let line = format!("now, on {}: {}: {}", now.target, now.verdict.kind, now.verdict.sentence);
    text.push_str(&wrapped(&line, width));
    if let Some(hint) = &now.verdict.hint {
        text.push_str(&wrapped(&format!("hint: {hint}"), width));
    }
    if then.ran_on == report.ran_on {
        text.push_str(&wrapped(&format!("both ran on {}", then.ran_on), width));
    } else {
        text.push_str(&wrapped(&format!("then it ran on {}", then.ran_on), width));
        text.push_str(&wrapped(&format!("now it ran on  {}", report.ran_on), width));
    }
    for (name, right, found) in &report.previews {
        let _ = write!(text, "\noutput `{name}`\n reference {right}\n now       {found}\n");
        if let Some((_, _, found)) = then.previews.iter().find(|(other, _, _)| other == name) {
            let _ = writeln!(text, " then      {found}");
        }
    }
    if report.then.offby != report.tool.version {
        let _ = writeln!(text, "\nthe bundle was written by offby {}", report.then.offby);
    }
    text
}
