//! The result of `offby shrink`: as it is saved, for a ticket, and for the terminal.

use super::document::{ModelReport, ToolReport};
use super::text::{nodes, simulated, wrapped};
use crate::engine::RanOn;
use crate::graph::ValueName;
use crate::shrink::{Limit, ShrinkStep, Threshold};
use crate::tensor::{Digest, Dtype, ShapeText};
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;

/// The smallest reproduction of a finding.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ShrinkReport {
    /// The schema of reports.
    pub schema: String,
    /// The program that wrote the report.
    pub tool: ToolReport,
    /// `shrink`.
    pub command: String,
    /// The network before shrinking.
    pub from: ModelReport,
    /// The target as `--on` names it.
    pub target: String,
    /// The engine, backend and device that really ran.
    pub ran_on: Option<RanOn>,
    /// The kind of verdict that was kept: `divergent`, `nonfinite`, `explained`, `crashed`...
    pub finding: String,
    /// The node that the finding comes from; absent if no single node shows the finding.
    pub node: Option<String>,
    /// The nodes that show the finding together, if no single node does and a part of the network is enough.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub piece: Vec<String>,
    /// The op types that are left.
    pub op_types: Vec<String>,
    /// The outputs that are left.
    pub outputs: Vec<String>,
    /// The inputs of the smallest reproduction.
    pub inputs: Vec<ShrinkFeed>,
    /// Size of the ONNX file.
    pub model_bytes: u64,
    /// The extents that fail, with the values of the whole network.
    pub thresholds: Vec<Threshold>,
    /// The same with the simplest values.
    pub simple_thresholds: Vec<Threshold>,
    /// The values that fail.
    pub limit: Option<Limit>,
    /// The steps of the search.
    pub steps: Vec<String>,
    /// The whole network, and what was left after each step.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sizes: Vec<ShrinkStep>,
    /// Whether the user stopped the search. The report then contains the smallest reproduction known by then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub interrupted: bool,
    /// Runs of the target.
    pub candidate_runs: usize,
    /// Runs from the written files that showed the finding, each in its own process.
    pub reproduced: usize,
    /// All runs from the written files.
    pub of: usize,
    /// The folder of the files.
    pub folder: String,
}

/// An input of the smallest reproduction.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ShrinkFeed {
    /// Its name.
    pub name: ValueName,
    /// The extent of each axis.
    pub shape: Vec<usize>,
    /// The element type.
    pub dtype: Dtype,
    /// Its file in the folder.
    pub file: String,
    /// The spec of the file's values.
    pub spec: String,
    /// The digest of its elements.
    pub digest: Digest,
}

/// The headline: the operators that are left, and their finding.
pub(super) fn headline(report: &ShrinkReport) -> String {
    let inputs: Vec<String> = report
        .inputs
        .iter()
        .map(|input| format!("{} {} ({})", ShapeText(&input.shape), input.dtype, input.spec))
        .collect();
    let finding = match report.finding.as_str() {
        "explained" => "wrong only by the rounding of its storage format",
        other => other,
    };
    format!(
        "{} on {}: {finding}; input {}; {} bytes",
        report.op_types.join(", "),
        report.target,
        inputs.join(" and "),
        report.model_bytes
    )
}

/// The facts about shapes and values, one sentence each.
pub(super) fn facts(report: &ShrinkReport) -> Vec<String> {
    let mut facts: Vec<String> =
        report.thresholds.iter().map(|t| in_shape("with the network's values", t)).collect();
    facts.extend(report.limit.iter().map(Limit::sentence));
    facts.extend(report.simple_thresholds.iter().map(|t| in_shape("with the simplest values", t)));
    if report.interrupted {
        facts.push("interrupted: the smallest that was known by then".into());
    }
    facts.push(format!(
        "shown by {} of {} runs from the written files, each in a process of its own; {} candidate runs in all",
        report.reproduced, report.of, report.candidate_runs
    ));
    facts.extend(simulated(&report.target, report.ran_on.as_ref()));
    facts
}

fn in_shape(with: &str, threshold: &Threshold) -> String {
    format!("{with}, {} (at {})", threshold.sentence(), ShapeText(&threshold.shape))
}

/// `offby shrink` as text.
pub fn shrink_text(report: &ShrinkReport, width: usize) -> String {
    let (from, target) = (&report.from, &report.target);
    let mut text = format!("{}, {}, on {target}\n", from.path, nodes(from.nodes));
    for step in &report.steps {
        text.push_str(&wrapped(step, width));
    }
    if report.folder.is_empty() {
        return text;
    }
    text.push('\n');
    text.push_str(&wrapped(&headline(report), width));
    for fact in facts(report) {
        text.push_str(&wrapped(&fact, width));
    }
    let written = "model.onnx, model.inputs, model.yaml, summary.md, summary.html";
    text.push('\n');
    text.push_str(&wrapped(&format!("written to {}: {written}", report.folder), width));
    // Not wrapped: a command is copied as a whole.
    let _ = writeln!(text, "run it:\n  {}", command(report));
    text
}

pub(super) fn command(report: &ShrinkReport) -> String {
    let mut command = format!("offby run {}/model.onnx", report.folder);
    for input in &report.inputs {
        let _ = write!(command, " --input '{}={}/{}'", input.name, report.folder, input.file);
    }
    let _ = write!(command, " --on {}", report.target);
    command
}

/// `offby shrink` for a ticket.
pub fn shrink_markdown(report: &ShrinkReport) -> String {
    let mut text = format!("# {}\n\n", headline(report));
    if let Some(ran_on) = &report.ran_on {
        let _ = write!(
            text,
            "Seen on {} {}, {}: {} {}.\n\n",
            ran_on.engine, ran_on.engine_version, ran_on.backend, ran_on.device, ran_on.driver
        );
    }
    if let Some(node) = &report.node {
        let _ = write!(text, "It comes from node `{node}` of {}.\n\n", report.from.path);
    }
    if !report.piece.is_empty() {
        let nodes: Vec<String> = report.piece.iter().map(|node| format!("`{node}`")).collect();
        let _ =
            write!(text, "It comes from nodes {} of {}.\n\n", nodes.join(", "), report.from.path);
    }
    for fact in facts(report) {
        let _ = writeln!(text, "- {fact}");
    }
    text.push_str("\n## How it was found\n\n");
    for (number, step) in (1..).zip(&report.steps) {
        let _ = writeln!(text, "{number}. {step}");
    }
    let _ = write!(text, "\n## How to see it\n\n```sh\n{}\n```\n", command(report));
    text
}
