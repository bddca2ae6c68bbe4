//! One target's comparisons and outcome, in one sentence that claims no more than was measured.

use super::kind::{Confidence, Kind, Verdict};
use crate::compare::{Agreement, Census, Comparison, Judgement, JudgementRule, Nonfinite};
use crate::engine::{Execution, Outcome, Runs};

/// The finding on one output.
#[derive(Debug, Clone, Copy)]
pub struct OutputFinding<'a> {
    /// The output's name.
    pub name: &'a str,
    /// The measurements, `None` if none were possible.
    pub comparison: Option<&'a Comparison>,
    /// The judgement on the measurements.
    pub judgement: &'a Judgement,
    /// The number of elements beyond the tolerance, counted only if the output diverges.
    pub beyond: Option<u64>,
}

/// The verdict on one target's whole outputs.
pub fn decide(execution: &Execution, findings: &[OutputFinding<'_>]) -> Verdict {
    let Some(kind) = outcome_kind(execution.outcome) else {
        return decide_completed(execution.runs.as_ref(), findings);
    };
    Verdict {
        kind,
        sentence: execution.reason.clone().unwrap_or_else(|| kind.to_string()),
        confidence: Confidence { reproduced: 0, of: 1 },
        diagnosis: Vec::new(),
        hint: execution.hint.clone(),
    }
}

/// The kind for a run without outputs; `None` if it completed.
pub fn outcome_kind(outcome: Outcome) -> Option<Kind> {
    match outcome {
        Outcome::Completed => None,
        Outcome::FellBack => Some(Kind::FellBack),
        Outcome::Rejected => Some(Kind::Rejected),
        Outcome::Crashed => Some(Kind::Crashed),
        Outcome::TimedOut => Some(Kind::TimedOut),
        Outcome::Unavailable => Some(Kind::Unavailable),
        Outcome::Interrupted => Some(Kind::Inconclusive),
    }
}

fn decide_completed(runs: Option<&Runs>, findings: &[OutputFinding<'_>]) -> Verdict {
    let (repeats, identical) = runs.map_or((1, true), |runs| (runs.repeats, runs.identical));
    let (kind, sentence) = if identical {
        judge_outputs(findings)
    } else {
        (
            Kind::Nondeterministic,
            format!("the same input gave different bytes within {repeats} runs"),
        )
    };
    // Identical runs all confirm the first run's finding; differing runs were compared only once.
    let reproduced = if identical { repeats } else { 1 };
    let confidence = Confidence { reproduced, of: repeats };
    Verdict { kind, sentence, confidence, diagnosis: Vec::new(), hint: None }
}

fn judge_outputs(findings: &[OutputFinding<'_>]) -> (Kind, String) {
    // The worst output decides the verdict on the target.
    let error = |finding: &OutputFinding<'_>| finding.comparison.map_or(0.0, |found| found.rel_l2);
    // In reverse, as the last of equal ones is taken.
    let worst = findings
        .iter()
        .rev()
        .max_by(|a, b| severity(a).cmp(&severity(b)).then_with(|| error(a).total_cmp(&error(b))));
    match worst {
        None => (Kind::Inconclusive, "the network gave no output to compare".to_owned()),
        Some(finding) => (kind_of(finding), describe(finding, findings.len())),
    }
}

fn severity(finding: &OutputFinding<'_>) -> u8 {
    match kind_of(finding) {
        Kind::Nonfinite => 4,
        Kind::Divergent => 3,
        Kind::Inconclusive => 2,
        Kind::Explained => 1,
        _ => 0,
    }
}

fn kind_of(finding: &OutputFinding<'_>) -> Kind {
    let disagreeing = finding.comparison.map_or(0, |comparison| comparison.nonfinite.disagreeing);
    match finding.judgement.agreement {
        Agreement::Agrees => Kind::Agrees,
        Agreement::Explained => Kind::Explained,
        Agreement::Diverges if disagreeing > 0 => Kind::Nonfinite,
        Agreement::Diverges => Kind::Divergent,
        Agreement::Incomparable => Kind::Inconclusive,
    }
}

fn describe(finding: &OutputFinding<'_>, outputs: usize) -> String {
    let words = &finding.judgement.words;
    let named = format!("`{}`", finding.name);
    let of = match outputs > 1 && !words.contains(&named) {
        true => format!("{named}: "),
        false => String::new(),
    };
    match (finding.comparison, finding.judgement.agreement) {
        // The words for a choice contain the count and the nearness: the distance between indices has no meaning.
        (Some(comparison), agreement)
            if agreement == Agreement::Explained
                || finding.judgement.rule == JudgementRule::Choice =>
        {
            let (n, of_n) = (count(comparison.mismatched), count(comparison.elements));
            format!("{of}{n} of {of_n} elements differ; {words}{}", example(comparison))
        }
        (_, Agreement::Diverges) if finding.judgement.rule == JudgementRule::Form => {
            format!("{of}{words}")
        }
        (Some(comparison), Agreement::Diverges) => {
            let of_n = count(comparison.elements);
            let which = match finding.beyond {
                // The words for non-finite elements contain their count.
                _ if comparison.nonfinite.disagreeing > 0 => {
                    let beside = format!("{}{}", size(comparison), example(comparison));
                    return format!("{of}{}{beside}", out_of(words, &of_n));
                }
                Some(beyond) => format!("{} of {of_n} elements are", count(beyond)),
                // Judged again from saved numbers: only the tensors show how many elements are beyond.
                None => format!(
                    "{} of {of_n} elements differ, some of them",
                    count(comparison.mismatched)
                ),
            };
            format!("{of}{which} {words}{}{}", size(comparison), example(comparison))
        }
        _ => format!("{of}{words}"),
    }
}

/// Turns `2 elements are` into `2 of 8 elements are`.
fn out_of(words: &str, all: &str) -> String {
    words.replacen(" elements are", &format!(" of {all} elements are"), 1)
}

/// The size of the error. Non-finite elements have no measurable error, and 0 would be the error of the other
/// elements alone.
fn size(comparison: &Comparison) -> String {
    let Nonfinite { reference, candidate, disagreeing } = &comparison.nonfinite;
    if *disagreeing == 0 {
        return format!("; relative L2 {:.2e}", comparison.rel_l2);
    }
    let side = |census: &Census| match (census.nan, census.pos_inf + census.neg_inf) {
        (0, 0) => "neither".to_owned(),
        (nan, 0) => format!("{} NaN", count(nan)),
        (0, inf) => format!("{} infinite", count(inf)),
        (nan, inf) => format!("{} NaN and {} infinite", count(nan), count(inf)),
    };
    let others = match comparison.rel_l2 > 0.0 {
        true => format!("; the others have a relative L2 of {:.2e}", comparison.rel_l2),
        false => String::new(),
    };
    format!("; the reference has {}, the target {}{others}", side(reference), side(candidate))
}

/// The worst element, with the reference's and the candidate's values.
fn example(comparison: &Comparison) -> String {
    let Some(worst) = comparison.worst.first() else { return String::new() };
    format!(" (at {:?}, {} becomes {})", worst.index, worst.reference, worst.candidate)
}

/// A number with commas between its thousands.
fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::count;

    #[test]
    fn thousands_have_commas() {
        assert_eq!(count(7), "7");
        assert_eq!(count(1024), "1,024");
        assert_eq!(count(401_408), "401,408");
    }
}
