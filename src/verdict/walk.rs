//! The verdict on a walk: a bug, only the storage format, or undecided.

use super::hint::next_step;
use super::kind::{Confidence, Kind, News, Verdict};
use super::origin::{Origin, OriginKind, spelled};
use super::phrases::{KEEP_ACTIVATIONS, beyond, diagnosis, disagreement, lost, wrong_integers};
use super::sentence::OutputFinding;
use crate::compare::JudgementRule;
use crate::engine::Outcome;
use crate::tensor::Format;
use crate::walk::{ChangedFeed, FLOOR_FACTOR, Handover, OpReport, Role, Strategy, WalkReport};

/// The facts from a walk, apart from the verdict on the whole outputs.
pub struct Facts<'a> {
    /// How the target's run ended.
    pub outcome: Outcome,
    /// The finding on each output.
    pub findings: Vec<OutputFinding<'a>>,
    /// The walk, if there was one.
    pub walk: Option<&'a WalkReport>,
    /// The node at which the engine's own CPU departs from the reference, if it causes the difference.
    pub origin: Option<&'a Origin>,
    /// The engine's name.
    pub engine: &'a str,
}

/// The verdict on one walked target. The final judgement on the outputs and the exit code stay unchanged; the
/// walk adds details.
pub fn refine(whole: &Verdict, facts: &Facts<'_>) -> Verdict {
    let whole = whole.clone();
    let Some(walk) = facts.walk else { return whole };
    // If the reference itself is in doubt, the walk adds no statement about the target.
    if [Kind::ReferenceWrong, Kind::Disputed].contains(&whole.kind) && walk.sources.is_empty() {
        return whole;
    }
    if walk.interrupted {
        return interrupted(whole, walk);
    }
    if walk.strategy == Strategy::Follow && facts.outcome != Outcome::Completed {
        return cut_short(whole, walk);
    }
    if walk.strategy == Strategy::Isolate
        && walk.ops_compared == 0
        && whole.kind.news() == News::Bad
    {
        return nothing_compared(whole, walk);
    }
    if super::cut::nothing_judged(walk) && whole.kind.news() == News::Bad {
        return super::cut::unknown(whole, walk);
    }
    if let Some(confirmation) = &walk.confirmation {
        return super::cut::decide(whole, walk, confirmation);
    }
    let handed = walk.ops.iter().find_map(|op| Some((op, op.handover.as_ref()?)));
    if !walk.trust.identical {
        unstable(walk)
    } else if let (Some(handed), true, News::Bad) =
        (handed, walk.sources.is_empty(), whole.kind.news())
    {
        not_as_written(whole, handed)
    } else if walk.disturbed_by_taps {
        disturbed(whole)
    } else {
        stable(whole, facts, walk)
    }
}

/// No node could be compared, so the verdict names no node.
fn nothing_compared(whole: Verdict, walk: &WalkReport) -> Verdict {
    let reason = walk.ops_unchecked.first().map(|op| format!(" (`{}`: {})", op.name, op.reason));
    Verdict {
        kind: Kind::Inconclusive,
        sentence: format!(
            "{}; none of {} nodes could be compared by itself, so no node can be named{}",
            whole.sentence,
            walk.ops_total,
            reason.unwrap_or_default()
        ),
        diagnosis: Vec::new(),
        hint: Some("walk with the strategy `follow`, which needs no single nodes".into()),
        ..whole
    }
}

/// Accepts a converter's error that the user allows: the verdict becomes an explained one.
pub fn accept_converter(verdict: &mut Verdict, allowed: f64, error: f64) {
    // With NaN this comparison is false, so NaN is not accepted.
    if verdict.kind == Kind::Converter && error <= allowed {
        verdict.kind = Kind::Explained;
        verdict.sentence = format!(
            "{}; accepted: --allow-converter {allowed:e} allows a relative L2 error of the output up to that, and it is {error:.2e}",
            verdict.sentence
        );
    }
}

/// Findings from before the user interrupted the search stay valid; the rest is unknown.
fn interrupted(whole: Verdict, walk: &WalkReport) -> Verdict {
    let found: Vec<String> = walk.sources.iter().map(|source| format!("`{source}`")).collect();
    let (kind, found) = match (found.is_empty(), whole.kind.news()) {
        (false, News::None) => (whole.kind, format!("{} ended in the same way", found.join(", "))),
        (false, _) => (whole.kind, format!("{} introduced error", found.join(", "))),
        (true, News::Bad) => (whole.kind, "no operator was found that introduces it".into()),
        (true, News::Good) => {
            (Kind::Inconclusive, "no operator was found that introduces error".into())
        }
        (true, News::None) => (whole.kind, "no node was found that ends in this way".into()),
    };
    let sentence = format!("{}; until the search was interrupted {found}", whole.sentence);
    Verdict {
        kind,
        sentence,
        hint: Some("with --out the same command continues from here".into()),
        ..whole
    }
}

/// The first run finished, and one of the later runs that had to confirm its findings did not.
fn cut_short(whole: Verdict, walk: &WalkReport) -> Verdict {
    let sources: Vec<&OpReport> = walk.ops.iter().filter(|op| op.role == Role::Source).collect();
    let found = match sources.first() {
        Some(first) => accuse(first, &sources, walk),
        None => "no operator introduced error".into(),
    };
    Verdict {
        sentence: format!(
            "{}; in the run before that, which came to its end and was not repeated, {found}",
            whole.sentence
        ),
        diagnosis: sources.first().map(|first| diagnosis(first)).unwrap_or_default(),
        ..whole
    }
}

fn unstable(walk: &WalkReport) -> Verdict {
    let first = walk.trust.first_unstable.as_deref();
    let from = first.map_or(String::new(), |op| {
        format!("; `{op}` is the first operator whose bytes differ between two runs")
    });
    Verdict {
        kind: Kind::Nondeterministic,
        sentence: format!(
            "the same input gave different bytes within {} runs{from}",
            walk.trust.repeats
        ),
        confidence: Confidence { reproduced: 1, of: walk.trust.repeats },
        diagnosis: Vec::new(),
        hint: None,
    }
}

/// Every operator is right on the values it reads, and one operator reads other values than were written.
fn not_as_written(whole: Verdict, (op, handover): (&OpReport, &Handover)) -> Verdict {
    let Handover { from, written, read } = handover;
    let sentence = format!(
        "{}; every operator is right on what it reads, but `{}` ({}, {}) reads other values than `{from}` wrote: a relative error of {written:.1e} when they were written is {read:.1e} when they are read",
        whole.sentence, op.name, op.op_type, op.backend
    );
    let hint = "something overwrites the memory between the two, or does not copy it: attach this report to the engine's issue";
    Verdict { sentence, hint: Some(hint.into()), ..whole }
}

/// Watching changes the target's values, so only the whole outputs count.
fn disturbed(whole: Verdict) -> Verdict {
    let sentence = format!(
        "{}; reading intermediate tensors changes this backend's results, so no operator can be named",
        whole.sentence
    );
    Verdict { sentence, ..whole }
}

fn stable(whole: Verdict, facts: &Facts<'_>, walk: &WalkReport) -> Verdict {
    let sources: Vec<&OpReport> = walk.ops.iter().filter(|op| op.role == Role::Source).collect();
    let (reproduced, of) = walk.trust.reproduced;
    let confidence = Confidence { reproduced, of };
    match sources.first() {
        Some(first) if whole.kind.news() != News::Bad => Verdict {
            sentence: format!(
                "{}; but {}{}",
                whole.sentence,
                accuse(first, &sources, walk),
                match whole.kind {
                    Kind::Explained => ". At the outputs that is no more than rounding does",
                    // If the outputs are unknown, it is unknown whether the error reaches them.
                    Kind::Inconclusive => "",
                    _ => ". That does not reach the outputs",
                }
            ),
            confidence,
            diagnosis: diagnosis(first),
            hint: whole.hint.clone().or_else(|| Some(next_step(first, walk))),
            ..whole
        },
        Some(first)
            if reproduced == of
                && let Some(origin) = facts.origin.filter(|found| found.explains_outputs) =>
        {
            let origin = of_origin(whole, origin, facts.engine);
            let own = accuse(first, &sources, walk);
            Verdict { sentence: format!("{}; apart from that, {own}", origin.sentence), ..origin }
        }
        Some(first) if reproduced == of => Verdict {
            // A correct operator may compute NaN from a source's wrong outputs: 0 / 0.
            kind: match walk.first_nonfinite.is_some() || whole.kind == Kind::Nonfinite {
                true => Kind::Nonfinite,
                false => Kind::Divergent,
            },
            sentence: accuse(first, &sources, walk) + &apart_from_that(facts),
            confidence,
            diagnosis: diagnosis(first),
            hint: Some(next_step(first, walk)),
        },
        Some(first) => Verdict {
            sentence: format!(
                "{}; `{}` introduced error in {reproduced} of {of} walks, so it cannot be named as the source",
                whole.sentence, first.name
            ),
            confidence,
            diagnosis: Vec::new(),
            hint: Some("walk again with more --repeat".into()),
            ..whole
        },
        None if !walk.sources.is_empty() => ends_alike(whole, walk),
        None => match &walk.untimely {
            Some(found) if whole.kind == Kind::Nonfinite && facts.origin.is_none() => {
                super::untimely::decide(whole, walk, found)
            }
            _ => no_source(whole, facts, walk),
        },
    }
}

/// What the engine's converter adds to a backend's own error.
fn apart_from_that(facts: &Facts<'_>) -> String {
    let words = |origin: &Origin| format!("; apart from that, {}", origin.words(facts.engine));
    facts.origin.map(words).unwrap_or_default()
}

/// No node introduces error, because the suspected nodes fail by themselves, as the whole network does.
fn ends_alike(whole: Verdict, walk: &WalkReport) -> Verdict {
    let first = walk.sources.first().map_or("?", String::as_str);
    let others = match walk.sources.len() {
        1 => String::new(),
        n => format!(", and so do {} more", n - 1),
    };
    let sentence = format!("{}; `{first}` by itself ends in the same way{others}", whole.sentence);
    Verdict { sentence, ..whole }
}

/// No operator introduces error beyond rounding: agreement, the sum of honest roundings, or a difference that
/// the engine's own CPU also has.
fn no_source(whole: Verdict, facts: &Facts<'_>, walk: &WalkReport) -> Verdict {
    let Facts { findings, origin, engine, .. } = facts;
    if let Some(origin) = origin.filter(|_| whole.kind.news() == News::Bad) {
        return of_origin(whole, origin, engine);
    }
    let error = findings
        .iter()
        .filter_map(|finding| finding.comparison)
        .map(|comparison| comparison.rel_l2)
        .fold(0.0, f64::max);
    let floor = walk.final_floor.unwrap_or(0.0);
    // A missing output, or an output of a different form, is not rounding, and has no measurable error.
    let is_whole = findings.iter().all(|finding| finding.judgement.rule != JudgementRule::Form);
    let honest = is_whole && error <= FLOOR_FACTOR * floor;
    let strict = findings.iter().all(|finding| finding.judgement.rule.is_exact());
    match whole.kind {
        Kind::Agrees if honest && !strict && walk.storage != Format::F32 => {
            Verdict { kind: Kind::Explained, sentence: rounding(walk, error, floor), ..whole }
        }
        Kind::Divergent if honest => Verdict {
            kind: Kind::Precision,
            sentence: rounding(walk, error, floor),
            hint: Some("ask for higher precision, or keep the largest contributors in it".into()),
            ..whole
        },
        Kind::Divergent if let Some(operands) = of_operands(walk) => Verdict {
            kind: if walk.ops_unchecked.is_empty() { Kind::Precision } else { whole.kind },
            sentence: format!("{}; no {} introduces it: {}", whole.sentence, unit(walk), operands.sentence),
            hint: Some(operands.hint.into()),
            ..whole
        },
        Kind::Divergent | Kind::Nonfinite if let Some(feed) = &walk.changed_feed => Verdict {
            sentence: format!("{}; {}", whole.sentence, of_feed(feed, walk.storage)),
            hint: Some(match feed.unexplained {
                true => "report the copy of the input to the engine, unless its values are too large for the storage".into(),
                false => "scale the input until this storage holds it".into(),
            }),
            ..whole
        },
        Kind::Divergent | Kind::Nonfinite if !is_whole => Verdict {
            sentence: format!(
                "{}; a walk compares values, so it names no operator for an output that is missing or has a wrong form",
                whole.sentence
            ),
            ..whole
        },
        Kind::Divergent | Kind::Nonfinite => Verdict {
            sentence: format!("{}; but no {} {} it", whole.sentence, unit(walk), introduces(walk)),
            ..whole
        },
        _ => whole,
    }
}

/// What an engine did to operands that the network has in `f32`.
struct Operands {
    sentence: String,
    hint: &'static str,
}

/// The operators that store 32 bits and are right only with rounded operands, if there are any.
fn of_operands(walk: &WalkReport) -> Option<Operands> {
    let fits = |op: &&OpReport| {
        op.excess.as_ref().is_some_and(|excess| {
            excess.has_other_operands() && excess.mode.format == Format::F32 && excess.excess <= 1.0
        })
    };
    let ops: Vec<&OpReport> = walk.ops.iter().filter(fits).collect();
    let first = ops.first()?;
    let excess = first.excess.as_ref()?;
    let others = match ops.len() - 1 {
        0 => String::new(),
        1 => ", and 1 more operator does".to_owned(),
        n => format!(", and {n} more operators do"),
    };
    let (does, hint) = match (excess.activations, excess.operands) {
        (Some(way), _) => (format!("rounds its activations to {}", way.words()), KEEP_ACTIVATIONS),
        (None, format) => (format!("keeps its weights in {}", format?.name()), KEEP_WEIGHTS),
    };
    let sentence = format!(
        "`{}` ({}) {does}{others}, at a relative error of {:.2e} there",
        first.name,
        first.op_type,
        first.introduced.unwrap_or(0.0)
    );
    Some(Operands { sentence, hint })
}

const KEEP_WEIGHTS: &str =
    "ask the backend for 32-bit weights, or accept what 16-bit weights cost with --rtol and --atol";

/// A feed that the target reads with other values, and whether its storage explains that.
fn of_feed(feed: &ChangedFeed, storage: Format) -> String {
    let ChangedFeed { operator, error, unexplained } = feed;
    if *unexplained {
        return format!(
            "no operator introduces it: `{operator}` reads other values than were fed, by {error:.2e} (relative L2), which {} rounding does not explain: storing the input loses them, or the copy to the device is wrong",
            storage.name()
        );
    }
    format!(
        "no operator introduces it: `{operator}` already reads a changed feed (relative L2 {error:.2e}): storing the input costs that much"
    )
}

/// The converter or a CPU kernel is wrong, regardless of the walked backend.
fn of_origin(whole: Verdict, origin: &Origin, engine: &str) -> Verdict {
    let engine = spelled(engine);
    let (kind, hint) = match origin.kind {
        OriginKind::Converter => (
            Kind::Converter,
            format!(
                "report it to {engine}'s converter; `--allow-converter E` accepts a relative L2 error up to E"
            ),
        ),
        OriginKind::CpuKernel => {
            (Kind::CpuKernel, format!("report the operator {} to {engine}", origin.op_type))
        }
    };
    Verdict {
        kind,
        sentence: origin.words(engine),
        diagnosis: Vec::new(),
        hint: Some(hint),
        ..whole
    }
}

/// The unit that the strategy compares.
fn unit(walk: &WalkReport) -> &'static str {
    match walk.strategy {
        Strategy::Isolate => "node by itself",
        Strategy::Cut => "truncation",
        _ => "operator that could be compared",
    }
}

/// What can be said of an operator that was not found: samples may miss an error.
fn introduces(walk: &WalkReport) -> &'static str {
    if walk.sampled.is_some() { "was found that introduces" } else { "introduces" }
}

/// Rounding in every operator, and its sum.
fn rounding(walk: &WalkReport, error: f64, floor: f64) -> String {
    let storage = walk.storage.name();
    if walk.ops.is_empty() {
        return format!(
            "a relative error of {error:.2e}, where a fault-free {storage} backend has {floor:.2e}"
        );
    }
    let introduces = introduces(walk);
    let top: Vec<String> = contributors(walk).iter().map(|op| format!("`{}`", op.name)).collect();
    let most = match top.as_slice() {
        [] => String::new(),
        some => format!("; most comes from {}", some.join(", ")),
    };
    format!(
        "no operator {introduces} more than {storage} rounding; it adds up to a relative error of {error:.2e}, where a fault-free {storage} backend has {floor:.2e}{most}"
    )
}

/// The three operators that introduce the most error.
fn contributors(walk: &WalkReport) -> Vec<&OpReport> {
    let mut ops: Vec<&OpReport> =
        walk.ops.iter().filter(|op| op.introduced.is_some_and(|error| error > 0.0)).collect();
    ops.sort_by(|a, b| b.introduced.unwrap_or(0.0).total_cmp(&a.introduced.unwrap_or(0.0)));
    ops.truncate(3);
    ops
}

fn accuse(first: &OpReport, sources: &[&OpReport], walk: &WalkReport) -> String {
    let others = match sources.len() {
        1 => format!("; no other operator {} error", introduces(walk)),
        n if sources.iter().all(|op| op.op_type == first.op_type) => match n - 1 {
            1 => format!("; 1 more operator introduces error, also a {}", first.op_type),
            more => format!("; {more} more operators introduce error, each a {}", first.op_type),
        },
        2 => "; 1 more operator introduces error".to_owned(),
        n => format!("; {} more operators introduce error", n - 1),
    };
    let size = match (&first.nonfinite, first.introduced) {
        _ if let Some(words) = lost(first) => words,
        (Some(found), _) => format!(
            "{} where the reference, on the same inputs, has numbers: {}",
            found.count(),
            found.words()
        ),
        (None, _) if first.introduced_disagreeing > 0 => disagreement(first),
        (None, _) if first.wrong_integers > 0 => wrong_integers(first),
        (None, _) if first.divided_by.is_some() => signs(first),
        (None, error) if let Some(words) = beyond(first, error) => words,
        (None, error) => format!(
            "a relative error of {:.2e} against {} on the same inputs, where {} rounding costs {:.2e}",
            error.unwrap_or(f64::NAN),
            if first.by_witness { "the engine's own CPU" } else { "the reference" },
            walk.storage.name(),
            first.floor
        ),
    };
    if first.piece.len() > 1 {
        return format!(
            "one of the {} nodes between the dumped values up to `{}` ({}) is the first to introduce error: {size}{others}",
            first.piece.len(),
            first.name,
            first.op_type
        );
    }
    format!(
        "`{}` ({}, {}) is the first operator to introduce error: {size}{others}",
        first.name, first.op_type, first.backend
    )
}

/// Zeros of the other sign, which compare as equal until a later operator divides by them.
fn signs(op: &OpReport) -> String {
    let after = op.divided_by.as_deref().unwrap_or_default();
    let zeros = if op.zero_signs == 1 { "zero has" } else { "zeros have" };
    format!(
        "{} {zeros} the other sign on the same inputs, and `{after}` makes other infinities of that",
        op.zero_signs
    )
}
