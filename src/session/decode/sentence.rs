//! The verdict on a target over all steps.

use crate::decode::{DecodeLane, DecodeStep, Part};
use crate::tensor::Format;
use crate::verdict::{Kind, News};

/// From this many units of the storage format on, a row of the map is drawn as wrong. In 16 bits honest devices of 2
/// to 8 layers stay below 8, in `f32` below 32: sums in a different order cost more units there.
const UNITS: [f64; 2] = [64.0, 16.0];
/// If this share of the later steps is wrong, all of them count as wrong.
const MOSTLY: f64 = 0.9;

/// A verdict.
pub(super) struct LaneSentence {
    pub(super) kind: Kind,
    pub(super) words: String,
}

/// The relative error from which on a row of the map is drawn as wrong.
pub(super) fn limit(declared: Option<Format>) -> f64 {
    match declared {
        None | Some(Format::F32) => UNITS[0] * Format::F32.epsilon(),
        Some(format) => UNITS[1] * format.epsilon(),
    }
}

/// The number of tokens before the last one that a step was fed.
fn before(step: &DecodeStep) -> usize {
    (step.past + step.fed.len()).saturating_sub(1)
}

/// The verdict on a lane.
pub(super) fn of(lane: &DecodeLane, part: Option<&Part>) -> LaneSentence {
    let completed = lane.steps.iter().filter(|step| step.token.is_some()).count();
    if let Some(part) = part {
        return parted(lane, part);
    }
    let failed = lane.steps.iter().position(|step| step.token.is_none());
    if let Some(step) = failed {
        let DecodeStep { kind, reason, .. } = &lane.steps[step];
        let reason = reason.clone().unwrap_or_default();
        let words = match completed {
            0 => reason,
            _ => format!("step {step} gave no scores: {reason}"),
        };
        return LaneSentence { kind: *kind, words };
    }
    let costly = lane.steps.iter().position(|step| step.kind == Kind::Precision);
    if let Some(step) = costly {
        let words = format!("from step {step} on, {}; {}", lane.steps[step].sentence, flips(lane));
        return LaneSentence { kind: Kind::Precision, words };
    }
    // Disputed, or a wrong reference.
    let other = lane.steps.iter().position(|step| step.kind.news() != News::Good);
    if let Some(step) = other {
        let DecodeStep { kind, sentence, .. } = &lane.steps[step];
        return LaneSentence { kind: *kind, words: format!("step {step}: {sentence}") };
    }
    if lane.steps.is_empty() {
        return LaneSentence { kind: Kind::Inconclusive, words: "no step ran".into() };
    }
    whole(lane)
}

fn parted(lane: &DecodeLane, part: &Part) -> LaneSentence {
    let step = &lane.steps[part.step];
    let blamed = match part.sources.as_slice() {
        [] => part.walked.clone().unwrap_or_else(|| step.sentence.clone()),
        [first, rest @ ..] => {
            let node = first.node.as_ref().unwrap_or(&first.name);
            let more = match rest.len() {
                0 => String::new(),
                1 => " and 1 more operator".to_owned(),
                more => format!(" and {more} more operators"),
            };
            let verb = if rest.is_empty() { "introduces" } else { "introduce" };
            format!("{} `{node}`{more} {verb} error", first.op_type)
        }
    };
    let mut kinds = lane.steps[part.step..].iter().map(|step| step.kind);
    let shown = kinds.find(|kind| kind.news() == News::Bad);
    let kind = shown.unwrap_or(Kind::Divergent);
    let hidden = if shown.is_some() { "" } else { ", which the outputs hardly show" };
    let when = match part.step {
        0 => "wrong in the prompt".to_owned(),
        number => format!("wrong at step {number}, after {} tokens", before(step)),
    };
    LaneSentence { kind, words: format!("{when}: {blamed}{hidden}; {}", flips(lane)) }
}

fn whole(lane: &DecodeLane) -> LaneSentence {
    let format = lane.declared.as_deref().unwrap_or("f32");
    let unexplained = lane.steps.iter().position(|step| {
        let flip = step.token.and_then(|token| token.flip);
        flip.is_some_and(|flip| flip.is_explained() != Some(true))
    });
    if let Some(step) = unexplained {
        let known = lane.steps[step].token.and_then(|token| token.flip?.allowed);
        let why = match known {
            Some(_) => {
                "by more than rounding moves the scores, but no step introduces such an error"
            }
            None => "and how far rounding moves the scores could not be computed",
        };
        let words = format!("token {step} differs {why}");
        return LaneSentence { kind: Kind::Inconclusive, words };
    }
    let is_exact = lane.steps.iter().all(|step| step.kind == Kind::Agrees);
    let kind = if is_exact { Kind::Agrees } else { Kind::Explained };
    LaneSentence {
        kind,
        words: format!("every step is within what {format} costs; {}", flips(lane)),
    }
}

/// How many tokens differ.
fn flips(lane: &DecodeLane) -> String {
    let all = lane.tokens().count();
    let flipped: Vec<_> = lane.tokens().filter_map(|token| token.flip).collect();
    let Some(first) = lane.first_flip() else {
        return format!("all {all} tokens are the reference's");
    };
    let explained = flipped.iter().filter(|flip| flip.is_explained() == Some(true)).count();
    let count = match flipped.len() {
        1 => "1 token differs".to_owned(),
        count => format!("{count} of {all} tokens differ"),
    };
    let excuse = match (explained, flipped.len()) {
        (0, _) => String::new(),
        (a, b) if a == b => ", by no more than rounding moves the scores".to_owned(),
        (a, b) => format!(", {a} of {b} by no more than rounding moves the scores"),
    };
    format!("{count}{excuse}; the texts part at token {first}")
}

/// In which steps the target is wrong.
pub(super) fn pattern(lane: &DecodeLane, first: usize) -> Vec<String> {
    let later = &lane.steps[first..];
    let bad = later.iter().filter(|step| step.kind.news() == News::Bad).count();
    let all = later.len();
    let is_always = bad as f64 >= MOSTLY * all as f64;
    let past = before(&lane.steps[first]);
    match first {
        _ if bad == 0 || lane.steps.len() == 1 => Vec::new(),
        0 if is_always => vec!["every step is wrong, the prompt as well".into()],
        0 if bad == 1 => vec!["only the prompt is wrong".into()],
        1 if is_always => {
            vec!["the prompt is right, and every step of one token is wrong".into()]
        }
        _ if is_always => {
            vec![format!("steps are right after fewer than {past} tokens, and wrong from then on")]
        }
        _ => vec![format!("{bad} of the {all} steps from there on are wrong")],
    }
}
