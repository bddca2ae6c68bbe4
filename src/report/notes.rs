//! Notes of a walk on the witness: the engine's own CPU, which has the same list of operators.

use super::document::TargetReport;
use crate::verdict::{Kind, News};
use crate::walk::{OpReport, SampledWalk, TILES, WalkReport};

/// The notes below a walk, each a sentence.
pub(super) fn notes(target: &TargetReport, walk: &WalkReport) -> Vec<String> {
    let mut notes = of_witness(target, walk);
    if let Some(first) = walk.misshapen.first() {
        notes.push(format!(
            "values not compared, as their form is not the reference's: {}, the first `{}` ({}, the reference has {})",
            walk.misshapen.len(),
            first.node,
            first.found,
            first.right
        ));
    }
    if let Some(first) = walk.channels_last.first() {
        notes.push(format!(
            "values read with the channels last: {}, the first `{first}`",
            walk.channels_last.len()
        ));
    }
    if walk.splits_fusions {
        notes.push(
            "asked for every value, the engine gives other outputs: it splits operators that it fuses otherwise, so an error of a fused operator may not show here; --strategy cut asks for fewer values"
                .into(),
        );
    }
    notes.extend(walk.sampled.as_ref().map(of_samples));
    notes.extend(of_births(walk));
    notes.extend(walk.ops.iter().filter(|op| op.blind).map(|op| {
        format!(
            "`{}` ({}) moves elements, and with this feed their order does not change: this feed cannot show a wrong order",
            op.name, op.op_type
        )
    }));
    notes.extend(of_cpu(target, walk));
    notes
}

/// What a sampled walk compared, and what it may miss.
fn of_samples(sampled: &SampledWalk) -> String {
    let left = match sampled.left {
        0 => String::new(),
        n => format!(
            " The values of {n} more suspicious operators did not fit: walk some layers with --layers."
        ),
    };
    format!(
        "offby compared samples of {} values, {} elements of each (seed {}), and {} values whole.{left} An error in {} of a value's elements is in its sample with a chance of 95 %. A sample does not show an error of less than 4 times what rounding costs, or what the value inherits",
        sampled.values,
        sampled.elements,
        sampled.seed,
        sampled.whole,
        percent(sampled.seen_share)
    )
}

/// A share with two significant digits.
fn percent(share: f64) -> String {
    let percent = 100.0 * share;
    let digits = (1.0 - percent.log10().floor()).clamp(0.0, 12.0) as usize;
    format!("{percent:.digits$} %")
}

/// The operators at which MNN's CPU is off, and the target is right.
fn of_witness(target: &TargetReport, walk: &WalkReport) -> Vec<String> {
    let off = walk.ops.iter().filter_map(|op| Some((op, op.witness?)));
    let (tiled, wrong): (Vec<_>, Vec<_>) =
        off.partition(|(op, error)| op.op_type == "Convolution" && *error <= TILES);
    let name = &target.target;
    let mut notes: Vec<String> = wrong
        .iter()
        .map(|(op, _)| {
            format!(
                "MNN's CPU is wrong at `{}` ({}): on the same inputs the reference agrees with {name}, so this operator is not accused, and moving it to the CPU would make it wrong",
                op.name, op.op_type
            )
        })
        .collect();
    if let Some(worst) = tiled.iter().map(|(_, error)| *error).reduce(f64::max) {
        let count = tiled.len();
        let operators = if count == 1 { "1 convolution" } else { &format!("{count} convolutions") };
        notes.push(format!(
            "MNN's CPU sums {operators} in tiles, with a relative error of up to {worst:.1e}; {name} is nearer to the reference there"
        ));
    }
    notes
}

/// The births that the verdict does not name. A walk of the reference has no other findings.
fn of_births(walk: &WalkReport) -> Vec<String> {
    let told = walk.untimely.as_ref().map(|found| &found.op);
    let births = walk.ops.iter().filter(|op| Some(&op.name) != told);
    let words = |op: &OpReport| {
        let found = op.born.as_ref()?;
        let (count, words) = (found.count(), found.words());
        Some(format!("`{}` ({}) makes {count} of finite inputs: {words}", op.name, op.op_type))
    };
    births.filter_map(words).collect()
}

/// The operator at which the engine's own CPU parts from the reference, unless the verdict names it already.
fn of_cpu(target: &TargetReport, walk: &WalkReport) -> Option<String> {
    let first = walk.first_converted.as_ref()?;
    let told = target.origin.is_some()
        || [Kind::Converter, Kind::CpuKernel].contains(&target.verdict.kind);
    let is_witness = walk.ops.iter().any(|op| op.witness.is_some() && op.name == *first);
    if told || is_witness {
        return None;
    }
    Some(match target.verdict.kind.news() {
        News::Good => format!(
            "MNN's CPU differs from the reference at `{first}`, and {} does not: this target is right there",
            target.target
        ),
        _ => format!("MNN's CPU differs from the reference, too, from `{first}` on"),
    })
}

/// The nodes in bodies, which are not operators of the walk.
pub(super) fn bodies(walk: &WalkReport) -> String {
    let count: usize = walk.bodies.values().sum();
    let owners: Vec<&str> = walk.bodies.keys().map(String::as_str).collect();
    let owners = owners.join(" and ");
    match count {
        0 => String::new(),
        1 => format!("; 1 node in a body of {owners} was not looked at by itself"),
        n => format!("; {n} nodes in bodies of {owners} were not looked at one by one"),
    }
}
