//! A run over a data set for the terminal, an issue and a browser. The parts common to all are here: the table,
//! the meaning of its columns, the worst inputs, who is to blame.

mod html;
mod markdown;
mod text;

pub use html::{Pictures, agree_html};
pub use markdown::agree_markdown;
pub use text::agree_text;

use crate::agree::{Agree, AgreeLane, Blame, Figures, Quantiles, Severity, Task, WorstInput};
use crate::report::text::ran_on_lines;
use crate::verdict::Kind;
use std::fmt::Display;

/// The text for a number that does not exist.
const NONE: &str = "-";

/// Network and data set, as a title.
fn title(agree: &Agree) -> String {
    let last = |path: &str| path.rsplit('/').next().unwrap_or(path).to_owned();
    let data = agree.data.path.trim_end_matches('/');
    format!("{} over {}", last(&agree.model.path), last(data))
}

/// The facts that all results rest on, clause by clause.
fn facts(agree: &Agree) -> Vec<String> {
    let data = &agree.data;
    let labels = if data.labels > 0 { ", labelled" } else { "" };
    let mut facts = vec![format!("{} inputs{labels}", data.inputs)];
    let seen = agree.reference.tally.inputs;
    if agree.interrupted {
        facts.push(format!("interrupted: {seen} of them were run"));
    }
    if !agree.shares.is_empty() {
        let shares: Vec<&str> = agree.shares.iter().map(String::as_str).collect();
        facts.push(format!("share {}: {seen} of them", shares.join(", ")));
    }
    if !data.preparation.is_empty() {
        facts.push(format!("images {}", data.preparation));
    }
    facts.push(match agree.task {
        Task::Classify => "outputs are class scores".into(),
        Task::Regress => "outputs are numbers".into(),
    });
    facts.push(format!("reference {}{}", agree.reference.target, expected(&agree.reference)));
    facts.push(format!("offby {}", agree.made_by));
    facts
}

/// Whether the reference's outputs are those that the data set expects.
fn expected(reference: &AgreeLane) -> String {
    let expected = reference.tally.expected;
    match (expected.all(), expected.diverges + expected.incomparable) {
        (0, _) => String::new(),
        (all, 0) => format!(", as expected for all {all}"),
        (all, bad) => format!(", not as expected for {bad} of {all}"),
    }
}

/// The table: its titles, and a row for each target.
fn table(agree: &Agree) -> (Vec<&'static str>, Vec<Vec<String>>) {
    let titles = match agree.task {
        Task::Classify => {
            vec!["target", "says", "top-1 %", "top-5 %", "right %", "lost", "p", "rel. L2"]
        }
        Task::Regress => {
            vec!["target", "says", "beyond", "L2 p50", "L2 p99", "L2 max", "cosine", "rank"]
        }
    };
    (titles, agree.targets.iter().map(|lane| row(agree.task, lane)).collect())
}

fn row(task: Task, lane: &AgreeLane) -> Vec<String> {
    let mut row = vec![lane.target.clone(), kind(lane).name().replace('_', " ")];
    let figures = lane.figures.as_ref();
    let get = |of: &dyn Fn(&Figures) -> Option<String>| {
        figures.and_then(of).unwrap_or_else(|| NONE.into())
    };
    match task {
        Task::Classify => row.extend([
            get(&|figures| Some(percent(figures.top1?.value()))),
            get(&|figures| Some(percent(figures.top5?.value()))),
            get(&|figures| Some(percent(figures.accuracy?.value()))),
            get(&|figures| Some(points(figures.drop?.value))),
            get(&|figures| Some(p_value(figures.drop?.mcnemar.p))),
            get(&|figures| Some(short(figures.rel_l2?.p99))),
        ]),
        Task::Regress => row.extend([
            format!("{}", lane.tally.agreements.diverges),
            get(&|figures| Some(short(figures.rel_l2?.p50))),
            get(&|figures| Some(short(figures.rel_l2?.p99))),
            get(&|figures| Some(short(figures.rel_l2?.max))),
            get(&|figures| Some(near_one(figures.angle?.max))),
            get(&|figures| Some(near_one(1.0 - figures.rank?))),
        ]),
    }
    row
}

/// The meaning of the columns.
fn legend(agree: &Agree) -> String {
    match agree.task {
        Task::Classify => {
            let mut legend =
                "top-1: inputs that keep the reference's class; top-5: it is among the first five"
                    .to_owned();
            if agree.data.labels > 0 {
                legend.push_str(
                    "; right: inputs with the labelled class; lost: points of that against the reference; p: McNemar's test",
                );
            }
            legend + "; rel. L2: the error of 99 in 100 inputs is not larger"
        }
        Task::Regress => "beyond: inputs with outputs beyond the tolerance; L2: relative error, of half the inputs not larger than p50, of 99 in 100 than p99; cosine: the smallest; rank: Spearman's correlation, the mean over the inputs".into(),
    }
}

fn kind(lane: &AgreeLane) -> Kind {
    lane.verdict.as_ref().map_or(Kind::Inconclusive, |verdict| verdict.kind)
}

/// The verdict, as a sentence without a full stop.
fn sentence(lane: &AgreeLane) -> String {
    let sentence = lane.verdict.as_ref().map_or("no answer", |verdict| &verdict.sentence);
    format!("{}: {sentence}", kind(lane).name().replace('_', " "))
}

/// The lines under a verdict: errors, engines and devices, notes.
fn remarks(lane: &AgreeLane) -> Vec<String> {
    let mut remarks = Vec::new();
    if let Some(figures) = &lane.figures {
        let line = |name: &str, quantiles: Option<Quantiles>| {
            let Quantiles { p50, p90, p99, max } = quantiles?;
            let [p50, p90, p99, max] = [p50, p90, p99, max].map(short);
            Some(format!("{name} p50 {p50}, p90 {p90}, p99 {p99}, largest {max}"))
        };
        let lines = [line("relative L2", figures.rel_l2), line("max abs", figures.max_abs)];
        let lines: Vec<String> = lines.into_iter().flatten().collect();
        if !lines.is_empty() {
            remarks.push(format!("errors: {}", lines.join("; ")));
        }
    }
    remarks.extend(lane.tally.ran_on.iter().flat_map(|place| ran_on_lines(Some(place))));
    if lane.simulated {
        remarks.push(
            "note: a simulated device; its faults were planted, so this is no finding about a real device"
                .into(),
        );
    }
    remarks
}

/// Failed inputs, one line each.
fn failed(lane: &AgreeLane) -> Vec<String> {
    let line = |failed: &crate::agree::Failed| {
        format!("{} {}: {}", failed.id, failed.outcome.name().replace('_', " "), failed.reason)
    };
    lane.tally.failed.iter().map(line).collect()
}

/// At most `most` of the worst inputs that differ by more than allowed, but all inputs that were walked.
fn worst(lane: &AgreeLane, most: usize) -> impl Iterator<Item = &WorstInput> {
    let walked = lane.blame.as_ref().map_or(0, |blame| blame.walked.len());
    let told =
        move |(at, worst): &(usize, &WorstInput)| *at < walked || worst.severity > Severity::Within;
    lane.tally.worst.iter().enumerate().filter(told).take(most.max(walked)).map(|(_, worst)| worst)
}

/// The table of at most `most` of the worst inputs: its titles, and its rows.
fn worst_table(task: Task, lane: &AgreeLane, most: usize) -> (Vec<&'static str>, Vec<Vec<String>>) {
    let titles = match task {
        Task::Classify => vec!["input", "what", "right", "reference", "target", "rel. L2"],
        Task::Regress => vec!["input", "what", "max abs", "rel. L2"],
    };
    (titles, worst(lane, most).map(|worst| worst_row(task, worst)).collect())
}

fn worst_row(task: Task, worst: &WorstInput) -> Vec<String> {
    let mut row = vec![worst.id.clone(), worst.severity.words().to_owned()];
    match task {
        Task::Classify => {
            let (reference, target) = worst.classes.unwrap_or_default();
            row.extend([optional(worst.label), optional(reference), optional(target)]);
        }
        Task::Regress => row.push(short(worst.max_abs)),
    }
    row.push(short(worst.rel_l2));
    row
}

/// The operators to blame, in a sentence.
fn blame(blame: &Blame) -> String {
    format!("walked: {}", blame.sentence())
}

fn optional(value: Option<impl Display>) -> String {
    value.map_or_else(|| NONE.to_owned(), |value| value.to_string())
}

/// Two decimals; only the whole is 100.
fn percent(share: f64) -> String {
    let text = format!("{:.2}", 100.0 * share);
    if text == "100.00" && share < 1.0 { "99.99".into() } else { text }
}

fn points(share: f64) -> String {
    // The addition prevents "-0.00".
    format!("{:.2}", 100.0 * share + 0.0)
}

fn p_value(p: f64) -> String {
    if p < 1e-3 { short(p) } else { format!("{p:.3}") }
}

fn short(value: f64) -> String {
    if value == 0.0 { "0".into() } else { format!("{value:.1e}") }
}

/// A number near 1, given by its distance from 1.
fn near_one(lack: f64) -> String {
    match lack {
        0.0 => "1".into(),
        lack if lack < 1e-4 => format!("1-{}", short(lack)),
        lack => format!("{:.4}", 1.0 - lack),
    }
}
