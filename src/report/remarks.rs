//! Lines that a report adds to its verdicts: warnings about the reference, notes on the feeds.

use super::document::{Report, TargetReport};
use crate::tensor::Dtype;
use crate::verdict::News;
use crate::walk::{Blind, NonfiniteOutput};

/// The remarks, each with its first word: `warning: ...`, `note: ...`.
pub(super) fn remarks(report: &Report) -> Vec<String> {
    let warnings = report.nonfinite.iter().map(NonfiniteOutput::words);
    let notes = report.blind.iter().map(Blind::words);
    let warnings = warnings.map(|words| format!("warning: {words}"));
    let notes = notes.chain(rounded_feeds(report)).chain(replaced_operators(report));
    warnings.chain(notes.map(|words| format!("note: {words}"))).collect()
}

/// The feeds that MNN stores with fewer digits than the network declares.
fn rounded_feeds(report: &Report) -> Option<String> {
    let on_mnn =
        |target: &TargetReport| target.ran_on.as_ref().is_some_and(|on| on.engine == "mnn");
    if !report.targets.iter().any(on_mnn) {
        return None;
    }
    let double = report.inputs.iter().filter(|input| input.dtype == Dtype::F64);
    let names: Vec<String> = double.map(|input| format!("`{}`", input.name)).collect();
    (!names.is_empty())
        .then(|| format!("MNN has no f64: its targets are fed {} rounded to f32", names.join(", ")))
}

/// The operators that only ONNX Runtime was given.
fn replaced_operators(report: &Report) -> Option<String> {
    let words = report.model.replaced.iter().map(|(op_type, count)| format!("{op_type} ({count})"));
    let words: Vec<String> = words.collect();
    (!words.is_empty()).then(|| {
        format!(
            "operators of ONNX Runtime, or functions of the file: {}; all other engines run ONNX's own operators in their place",
            words.join(", ")
        )
    })
}

/// How many inputs are named with their feeds.
const MOST_FEEDS: usize = 3;

/// The runs and feeds with which a target was right. In other runs or with other feeds it may be wrong.
pub(super) fn coverage(report: &Report, target: &TargetReport) -> Option<String> {
    let runs = target.runs.as_ref().filter(|_| target.verdict.kind.news() == News::Good)?;
    let times = match runs.repeats {
        1 => "1 run".to_owned(),
        n => format!("{n} runs"),
    };
    let feeds = match report.inputs.as_slice() {
        [] => "no feed".to_owned(),
        [only] => only.spec.clone(),
        some if some.len() <= MOST_FEEDS => {
            let each = some.iter().map(|input| format!("{} = {}", input.name, input.spec));
            each.collect::<Vec<_>>().join(", ")
        }
        many => format!("these {} feeds", many.len()),
    };
    Some(format!("in {times} on {feeds}"))
}

/// The sentence of a verdict with its coverage.
pub(super) fn sentence(report: &Report, target: &TargetReport) -> String {
    match coverage(report, target) {
        Some(coverage) => format!("{}; {coverage}", target.verdict.sentence),
        None => target.verdict.sentence.clone(),
    }
}
