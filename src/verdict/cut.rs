//! The verdict on a search by truncation: the node where agreement turns into divergence, and whether
//! the node alone confirms the finding.

use super::kind::{Confidence, Kind, News, Verdict};
use super::phrases::{self, diagnosis};
use crate::walk::{Answer, Confirmation, OpReport, Probe, Role, WalkReport};

/// The verdict on a target that was found to be wrong as a whole.
pub(super) fn decide(whole: Verdict, walk: &WalkReport, confirmation: &Confirmation) -> Verdict {
    let (reproduced, of) = walk.trust.reproduced;
    let confidence = Confidence { reproduced, of };
    let source = walk.ops.iter().find(|op| op.role == Role::Source);
    let op = source.or(walk.ops.last());
    let place = place(walk);
    let (kind, sentence) = match confirmation {
        Confirmation::InPlace => {
            (kind(whole.kind, op), in_place(&place, walk, op, whole.kind.news() == News::Bad))
        }
        Confirmation::Alone => (kind(whole.kind, op), format!("{place}, {}", alone(op, walk))),
        Confirmation::OnlyInContext => (
            whole.kind,
            format!(
                "{place}, and it did so again; in isolation the node agrees, so the fault needs its neighbours (fusion, layouts, reused memory)"
            ),
        ),
        Confirmation::NotRun { reason } => {
            (whole.kind, format!("{place}; by itself the node was not run: {reason}"))
        }
        Confirmation::LostWhenTruncated => (
            whole.kind,
            format!(
                "{}; lost when truncated: the whole network diverges, and none of {} truncations does",
                whole.sentence,
                walk.probes.len().saturating_sub(1)
            ),
        ),
        Confirmation::LostOnRepetition => (
            whole.kind,
            format!(
                "{place}, but agreed when it was run again: the finding was lost on repetition"
            ),
        ),
    };
    // An error that does not reach the outputs leaves their judgement unchanged.
    let (kind, sentence) = match whole.kind.news() {
        News::Good => (whole.kind, format!("{}; but {sentence}", whole.sentence)),
        _ => (kind, sentence),
    };
    Verdict {
        kind,
        sentence,
        confidence,
        diagnosis: op.map(diagnosis).unwrap_or_default(),
        hint: op.map(next_step).or(whole.hint),
    }
}

/// Whether no truncation could be judged.
pub(super) fn nothing_judged(walk: &WalkReport) -> bool {
    let (_whole, truncations) =
        walk.probes.split_first().map_or((None, &[][..]), |(first, rest)| (Some(first), rest));
    !truncations.is_empty() && truncations.iter().all(|probe| probe.answer == Answer::Unknown)
}

/// No place in the network could be judged, so the verdict names no node.
pub(super) fn unknown(whole: Verdict, walk: &WalkReport) -> Verdict {
    let reason = walk.probes.iter().filter_map(|probe| probe.reason.as_deref()).next_back();
    Verdict {
        kind: Kind::Inconclusive,
        sentence: format!(
            "{}; none of {} truncations could be judged, so no node can be named{}",
            whole.sentence,
            walk.probes.len() - 1,
            reason.map_or(String::new(), |reason| format!(" ({reason})"))
        ),
        diagnosis: Vec::new(),
        hint: Some("walk with the strategy `follow`, which needs no truncation".into()),
        ..whole
    }
}

/// Later nodes may turn non-finite values into numbers, and numbers into non-finite values. So the
/// node's own outputs decide the kind.
fn kind(whole: Kind, op: Option<&OpReport>) -> Kind {
    match whole {
        Kind::Divergent | Kind::Nonfinite | Kind::Agrees | Kind::Explained => {
            if op.is_some_and(|op| op.nonfinite.is_some() || op.introduced_disagreeing > 0) {
                Kind::Nonfinite
            } else {
                Kind::Divergent
            }
        }
        ended => ended,
    }
}

/// The node where agreement turns into divergence, and the proof.
fn place(walk: &WalkReport) -> String {
    let diverging = walk.probes.iter().filter(|probe| probe.answer == Answer::Diverges);
    let found = diverging.min_by_key(|probe| probe.at);
    let bad = found.map_or("?", |probe| &probe.node);
    let (turn, agrees, diverges) = match found {
        Some(Probe { reason: Some(reason), .. }) => {
            ("it stops coming to its end", "it comes to its end", format!("it does not ({reason})"))
        }
        Some(Probe { disagreeing, .. }) if *disagreeing > 0 => {
            let diverges = format!(
                "it diverges ({disagreeing} elements are NaN or infinite on one side only)"
            );
            ("agreement turns into divergence", "it agrees", diverges)
        }
        Some(Probe { inexact, .. }) if *inexact > 0 => {
            let diverges = format!("it diverges ({inexact} integers are not the reference's)");
            ("agreement turns into divergence", "it agrees", diverges)
        }
        Some(Probe { cumulative: Some(error), .. }) => {
            let diverges = format!("it diverges (relative L2 {error:.2e})");
            ("agreement turns into divergence", "it agrees", diverges)
        }
        _ => ("agreement turns into divergence", "it agrees", "it diverges".to_owned()),
    };
    let good =
        walk.probes.iter().filter(|probe| probe.answer == Answer::Agrees).max_by_key(|p| p.at);
    let before = match good {
        Some(good) => format!("truncated after `{}` {agrees}", good.node),
        None => "its inputs are the same bytes".to_owned(),
    };
    let unknown = walk.probes.iter().filter(|probe| probe.answer == Answer::Unknown).count();
    let unknown = match unknown {
        0 => String::new(),
        n => format!(" ({n} truncations could not be judged)"),
    };
    format!("`{bad}` is where {turn}: {before}, truncated after `{bad}` {diverges}{unknown}")
}

/// The findings of the run with every value as an output, the first source first.
fn in_place(place: &str, walk: &WalkReport, first: Option<&OpReport>, is_bad: bool) -> String {
    let turn = walk.probes.iter().filter(|p| p.answer == Answer::Diverges).map(|p| p.at).min();
    let absorbed: Vec<&OpReport> =
        walk.ops.iter().filter(|op| op.role == Role::Source && Some(op.index) != turn).collect();
    let reaches = "that is absorbed before it reaches an output; ";
    let (reaches, place) = match turn {
        Some(_) => (reaches, place.to_owned()),
        None if is_bad => ("", "no truncation shows it".to_owned()),
        None => (reaches, "the whole agrees".to_owned()),
    };
    match first {
        Some(op) if Some(op.index) == turn => format!("{place}, {}", measured("it", op, walk)),
        Some(op) => {
            let others = match absorbed.len() {
                0 | 1 => String::new(),
                n => format!(" (and so do {} more)", n - 1),
            };
            format!(
                "`{}` ({}) is the first to introduce error{others}: {}; {reaches}{place}",
                op.name,
                op.op_type,
                measured("it", op, walk).trim_start_matches("and it introduces ")
            )
        }
        None => place,
    }
}

fn alone(op: Option<&OpReport>, walk: &WalkReport) -> String {
    op.map_or("and so does the node by itself".into(), |op| {
        measured("by itself the node", op, walk)
    })
}

fn measured(who: &str, op: &OpReport, walk: &WalkReport) -> String {
    match (&op.nonfinite, op.introduced) {
        (Some(found), _) => format!(
            "and {who} gives {} where the reference has numbers: {}",
            found.count(),
            found.words()
        ),
        (None, _) if let Some(words) = phrases::lost(op) => {
            format!("and {who} loses values: {words}")
        }
        (None, Some(_)) if op.introduced_disagreeing > 0 => {
            format!("and {who} is wrong: {}", phrases::disagreement(op))
        }
        (None, Some(_)) if op.wrong_integers > 0 => {
            format!("and {who} gives {}", phrases::wrong_integers(op))
        }
        (None, error) if let Some(words) = phrases::beyond(op, error) => {
            format!("and {who} introduces {words}")
        }
        (None, Some(introduced)) => format!(
            "and {who} introduces a relative error of {introduced:.2e} on the same inputs, where {} rounding costs {:.2e}",
            walk.storage.name(),
            op.floor
        ),
        (None, None) => format!("and {who} ends in the same way"),
    }
}

/// The engine's own CPU has a target's error if its own error is more than half as large.
const SHARED: f64 = 2.0;

fn next_step(op: &OpReport) -> String {
    let node = op.onnx_node.as_deref().unwrap_or(&op.name);
    let is_shared = |(cpu, own): (f64, f64)| cpu > 0.0 && SHARED * cpu >= own;
    if op.conversion.zip(op.introduced).is_some_and(is_shared) {
        return format!(
            "the engine's own CPU is about as far from the reference at {node}, so the converter or a method that both use may be the cause: a walk with the strategy `follow` tells them apart"
        );
    }
    format!(
        "`offby cut` with `--to` its output makes the debug network of {node}, `offby shrink` the smallest one"
    )
}
