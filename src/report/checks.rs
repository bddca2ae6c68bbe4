//! The parts of a ticket around the numbers: a title, the doubts ruled out, how to reproduce the finding.

use super::document::{OutputReport, Report, TargetReport};
use crate::compare::Agreement;
use crate::engine::{DUMP, Outcome};
use crate::verdict::{Kind, News, OriginKind};
use crate::walk::{OpReport, Role, Strategy, WalkReport};
use serde::Serialize;

/// One doubt about a finding, and the evidence for or against it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Check {
    /// The doubt as a question.
    pub(super) question: &'static str,
    /// `yes`, `no`, `in part`, `unknown`.
    pub(super) answer: &'static str,
    /// The evidence.
    pub(super) because: String,
}

impl Check {
    fn new(question: &'static str, answer: &'static str, because: impl Into<String>) -> Self {
        Check { question, answer, because: because.into() }
    }
}

/// A title for the ticket: the gravest target, its finding, and the engine and device.
pub(super) fn title(report: &Report) -> String {
    let Some(target) = gravest(report) else { return report.model.path.clone() };
    let kind = match target.verdict.kind {
        Kind::Agrees => "agrees with the reference",
        Kind::Explained => "differs by no more than its storage format costs",
        Kind::Precision => "loses more precision than allowed, by rounding alone",
        Kind::Divergent => "gives wrong values",
        Kind::Nonfinite => "gives NaN or infinities",
        Kind::Converter => "runs a different network, because of the engine's converter",
        Kind::CpuKernel => "has a wrong CPU kernel",
        Kind::ReferenceWrong => "is right, and the reference is wrong",
        Kind::Disputed => "cannot be judged, as the reference is disputed",
        Kind::Nondeterministic => "gives other values on every run",
        Kind::Crashed => "crashes",
        Kind::TimedOut => "hangs",
        Kind::Rejected => "refuses the network",
        Kind::FellBack => "falls back to the CPU",
        Kind::Unavailable => "is not available",
        Kind::Inconclusive => "cannot be judged",
    };
    // A dump has no engine.
    let ran_on = target.ran_on.as_ref().filter(|ran_on| ran_on.backend != DUMP);
    let on = ran_on.map_or_else(String::new, |ran_on| {
        let version = format!("{} {}", ran_on.engine, ran_on.engine_version);
        let device = ran_on.device.replace('\0', "");
        format!(" ({version}, {}: {})", ran_on.backend, device.trim())
    });
    let who = first_source(target).map_or_else(String::new, |op| format!("{} ", op.op_type));
    format!("{}: {who}{kind}{on}", target.target)
}

/// The target that matters most: bad news first, then no news.
pub(super) fn gravest(report: &Report) -> Option<&TargetReport> {
    let gravity = |target: &&TargetReport| match target.verdict.kind.news() {
        News::Bad => 2,
        News::None => 1,
        News::Good => 0,
    };
    // Reversed, because `max_by_key` returns the last of equals, and the first is wanted.
    report.targets.iter().rev().max_by_key(gravity)
}

fn first_source(target: &TargetReport) -> Option<&OpReport> {
    target.walk.as_ref()?.ops.iter().find(|op| op.role == Role::Source)
}

/// The checks of a finding on this target.
pub(super) fn checks(target: &TargetReport) -> Vec<Check> {
    let mut checks = vec![place(target)];
    checks.extend(determinism(target));
    if let Some(walk) = &target.walk {
        checks.extend(observation(walk));
    }
    checks.extend(rounding(target));
    checks.extend(conversion(target));
    if let Some(walk) = &target.walk {
        checks.extend(coverage(walk));
    }
    checks
}

fn place(target: &TargetReport) -> Check {
    let question = "Did it run where it was asked to?";
    let Some(ran_on) = &target.ran_on else {
        let why = format!("the engine never got that far: {}", target.outcome);
        return Check::new(question, "unknown", why);
    };
    let operators: Vec<String> =
        ran_on.operators.iter().map(|(backend, n)| format!("{n} operators on {backend}")).collect();
    let because = match operators.is_empty() {
        true => format!("it ran on {}", ran_on.backend),
        false => operators.join(", "),
    };
    let elsewhere = ran_on.operators.keys().any(|backend| *backend != ran_on.backend);
    let answer = match target.outcome {
        Outcome::FellBack => "no",
        _ if elsewhere => "in part",
        _ => "yes",
    };
    Check::new(question, answer, because)
}

fn determinism(target: &TargetReport) -> Option<Check> {
    let runs = target.runs.as_ref()?;
    let question = "Is it different on every run?";
    Some(match (runs.identical, runs.repeats) {
        (_, 0 | 1) => Check::new(question, "unknown", "it ran once; give --repeat"),
        (true, n) => Check::new(question, "no", format!("{n} runs gave the same bytes")),
        (false, n) => Check::new(question, "yes", format!("{n} runs gave different bytes")),
    })
}

fn observation(walk: &WalkReport) -> Option<Check> {
    let question = "Does watching it change the result?";
    (walk.strategy == Strategy::Follow).then(|| match walk.disturbed_by_taps {
        true => Check::new(question, "yes", "the tapped run gave other bytes than the untapped"),
        false => Check::new(question, "no", "tapped and untapped runs gave the same bytes"),
    })
}

fn rounding(target: &TargetReport) -> Option<Check> {
    let question = "Is it only the rounding of the storage format?";
    if let (Some(walk), Some(op)) = (&target.walk, first_source(target)) {
        return Some(Check::new(question, "no", beyond_rounding(walk, op)));
    }
    let differs = |output: &&OutputReport| {
        output.comparison.as_ref().is_some_and(|comparison| comparison.mismatched > 0)
    };
    let output = target.outputs.iter().filter(differs).max_by_key(|output| grave(output))?;
    Some(match (output.agreement, output.explained_by) {
        (Agreement::Explained, _) => Check::new(question, "yes", output.judgement.words.clone()),
        (_, Some(found)) if found.share < 1.0 => Check::new(
            question,
            "in part",
            format!(
                "{:.0} % of the differing elements are the reference rounded to {}",
                100.0 * found.share,
                found.format.name()
            ),
        ),
        (_, Some(found)) => Check::new(
            question,
            "yes",
            format!("every difference is the reference rounded to {}", found.format.name()),
        ),
        (_, None) => Check::new(
            question,
            "no",
            "neither f16, bf16 nor tf32 rounding gives even half of the differing elements",
        ),
    })
}

/// Why the error of a source is more than rounding.
fn beyond_rounding(walk: &WalkReport, op: &OpReport) -> String {
    if let Some(found) = &op.nonfinite {
        return format!("the first source gives {}: {}", found.count(), found.words());
    }
    if let Some(lost) = op.lost {
        return format!("at the first source {}", lost.words());
    }
    let size = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |x| format!("{x:.1e}"));
    format!(
        "a fault-free {} backend would introduce {:.1e} at the first source; it introduces {}, {} times that",
        walk.storage.name(),
        op.floor,
        size(op.introduced),
        size(op.ratio)
    )
}

fn grave(output: &OutputReport) -> u8 {
    match output.agreement {
        Agreement::Diverges => 3,
        Agreement::Incomparable => 2,
        Agreement::Explained => 1,
        Agreement::Agrees => 0,
    }
}

fn conversion(target: &TargetReport) -> Option<Check> {
    let question = "Does the engine's own CPU give the reference's outputs?";
    let summaries: Vec<_> = target.outputs.iter().filter_map(|output| output.conversion).collect();
    let worst = summaries.iter().copied().reduce(crate::walk::ErrorSummary::worse)?;
    let size =
        format!("relative L2 {:.1e} between the engine's CPU and the reference", worst.rel_l2);
    let first = target.walk.as_ref().and_then(|walk| walk.first_converted.as_deref());
    Some(match (&target.origin, first) {
        (Some(origin), _) => {
            let who = match origin.kind {
                OriginKind::Converter => "the converter changed the network",
                OriginKind::CpuKernel => "a kernel of the CPU is wrong",
            };
            Check::new(question, "no", format!("{size}: {who} at `{}`", origin.node))
        }
        (None, Some(op)) => Check::new(question, "no", format!("{size}, first at `{op}`")),
        (None, None) => Check::new(question, "yes", size),
    })
}

fn coverage(walk: &WalkReport) -> Option<Check> {
    let question = "Was every operator compared?";
    if walk.ops.is_empty() {
        return None;
    }
    let answer = if walk.ops_compared == walk.ops_total { "yes" } else { "in part" };
    let because = format!(
        "{} of {}; {:.1} % of those with floats",
        walk.ops_compared,
        walk.ops_total,
        100.0 * walk.float_share
    );
    Some(Check::new(question, answer, because))
}

/// Three commands: `doctor` for the installation, the finding itself, and the next step.
pub(super) fn reproduce(report: &Report) -> Vec<String> {
    let command = report.environment.as_ref().map(|environment| &environment.command);
    let itself = match command.filter(|command| !command.is_empty()) {
        Some(command) => command.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" "),
        None => rebuilt(report),
    };
    let target = gravest(report);
    let bad = target.filter(|target| target.verdict.kind.news() == News::Bad);
    let next = match bad {
        Some(target) => {
            let inputs = inputs(report);
            let (model, on) = (quoted(&report.model.path), quoted(&target.target));
            let reference = match report.reference.as_str() {
                "tract" => String::new(),
                other => format!(" --reference {}", quoted(other)),
            };
            format!("shrink {model}{inputs} --on {on}{reference} --out smallest")
        }
        None => "report render report.json --to html -o report.html".to_owned(),
    };
    ["doctor".to_owned(), itself, next].map(|line| format!("offby {line}")).to_vec()
}

/// The command, rebuilt for a report that does not contain the command.
fn rebuilt(report: &Report) -> String {
    let targets: Vec<String> =
        report.targets.iter().map(|target| format!(" --on {}", quoted(&target.target))).collect();
    let (command, model) = (&report.command, quoted(&report.model.path));
    format!("{command} {model}{}{}", inputs(report), targets.concat())
}

fn inputs(report: &Report) -> String {
    let each = |input: &super::InputReport| {
        format!(" --input {}", quoted(&format!("{}={}", input.name, input.spec)))
    };
    report.inputs.iter().map(each).collect()
}

/// A word, quoted for a shell if necessary.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-/:,=+@%".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn a_shell_reads_back_what_was_quoted() {
        assert_eq!(quoted("mnn:opencl:high,tune=none"), "mnn:opencl:high,tune=none");
        assert_eq!(quoted("x=it's a file.npy"), "'x=it'\\''s a file.npy'");
        assert_eq!(quoted(""), "''");
    }
}
