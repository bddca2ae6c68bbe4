//! Decoding for the terminal, an issue and a browser. The parts common to all are here: the table, the sentences, and
//! the map of errors over layers and steps.

mod html;
mod map;
mod markdown;
mod text;

pub use html::decode_html;
pub use markdown::decode_markdown;
pub use text::decode_text;

use crate::decode::{Decode, DecodeLane, Part};
use crate::report::plural;
use crate::report::text::ran_on_lines;

/// The text for a number that does not exist.
const NONE: &str = "-";

fn title(decode: &Decode) -> String {
    let file = decode.model.path.rsplit('/').next().unwrap_or(&decode.model.path);
    format!(
        "{file}, {} after a prompt of {}",
        plural(decode.tokens.len(), "token"),
        decode.prompt.len()
    )
}

/// The facts that all results rest on, clause by clause.
fn facts(decode: &Decode) -> Vec<String> {
    let states = decode.states.len();
    let mut facts = vec![plural(decode.model.nodes, "node")];
    facts.push(match states {
        0 => "no state: each step is fed all tokens".into(),
        _ => format!("{} from step to step", plural(states, "state")),
    });
    facts.push(format!("{} words", decode.model.vocabulary));
    if decode.interrupted {
        facts.push(format!("interrupted after {}", plural(decode.tokens.len(), "token")));
    }
    facts.push(format!("reference {}", decode.reference));
    facts.extend(decode.reference_note.clone());
    facts.push(format!("offby {}", decode.made_by));
    facts
}

/// The table: its titles, and a row for each target.
fn table(decode: &Decode) -> (Vec<&'static str>, Vec<Vec<String>>) {
    let titles =
        vec!["target", "says", "tokens kept", "top-5", "KL max", "rel. L2 max", "first wrong"];
    (titles, decode.targets.iter().map(row).collect())
}

fn row(lane: &DecodeLane) -> Vec<String> {
    let all = lane.tokens().count();
    let kept = lane.tokens().filter(|token| token.want == token.got).count();
    let top5: usize = lane.tokens().map(|token| token.top5).sum();
    let largest = |of: &dyn Fn(&crate::decode::TokenFigures) -> f64| {
        let numbers: Vec<f64> = lane.tokens().map(of).collect();
        let worst =
            numbers.into_iter().fold(0.0, |a: f64, b| if b.is_nan() { b } else { a.max(b) });
        if all == 0 { NONE.into() } else { short(worst) }
    };
    let share = match all {
        0 => NONE.into(),
        _ => format!("{:.1} %", 100.0 * top5 as f64 / (5 * all) as f64),
    };
    let wrong = lane.part.as_ref().map_or(NONE.into(), |part| match part.step {
        0 => "prompt".to_owned(),
        step => format!("step {step}"),
    });
    vec![
        lane.target.clone(),
        lane.kind.name().replace('_', " "),
        format!("{kept} of {all}"),
        share,
        largest(&|token| token.kl),
        largest(&|token| token.relative_l2),
        wrong,
    ]
}

/// The meaning of the columns.
fn legend() -> &'static str {
    "every target is fed the reference's tokens; tokens kept: the target's best word is the reference's; top-5: words among both first fives; KL: divergence of the probabilities, in nats; first wrong: the first step with an error of its own"
}

/// The verdict, as a sentence without a full stop.
fn sentence(lane: &DecodeLane) -> String {
    format!("{}: {}", lane.kind.name().replace('_', " "), lane.sentence)
}

/// The lines under a verdict.
fn remarks(lane: &DecodeLane) -> Vec<String> {
    let mut remarks = Vec::new();
    if let Some(part) = &lane.part {
        remarks.extend(part_remarks(part));
    }
    let lent = lane.steps.iter().filter(|step| step.lent).count();
    if lent > 0 && lane.tokens().count() > 0 {
        remarks.push(format!(
            "{} got the reference's state, because the target gave none in the step before",
            plural(lent, "step")
        ));
    }
    if let Some(failed) = lane.steps.iter().find(|step| step.token.is_none()) {
        let reason = failed.reason.clone().unwrap_or_default();
        remarks.push(format!("{} after {} tokens: {reason}", failed.outcome.name(), failed.past));
    }
    if let Some(free) = &lane.free {
        let words: Vec<String> = free.iter().map(ToString::to_string).collect();
        remarks.push(format!("by itself the target continues with {}", words.join(" ")));
    }
    remarks.extend(ran_on_lines(lane.ran_on.as_ref()));
    if lane.simulated {
        remarks.push(
            "note: a simulated device; its faults were planted, so this is no finding about a real device"
                .into(),
        );
    }
    remarks
}

fn part_remarks(part: &Part) -> Vec<String> {
    let mut lines = Vec::new();
    lines.extend(part.layer.map(|layer| format!("layer {layer}")));
    lines.extend(part.sources.iter().map(|source| {
        let node = source.node.as_ref().unwrap_or(&source.name);
        format!("source: {} `{node}`", source.op_type)
    }));
    lines.extend(part.signs.iter().cloned());
    lines
}

fn short(value: f64) -> String {
    if value == 0.0 { "0".into() } else { format!("{value:.1e}") }
}
