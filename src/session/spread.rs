//! How far rounding alone can move a network's outputs.
//!
//! The reference runs a few more times. Every rounding is moved at random, by as much as the target's storage
//! costs. An honest engine computes the exact result for inputs moved by a few such roundings (backward
//! stability; Higham, *Accuracy and Stability of Numerical Algorithms*, 2002, ch. 1). If the outputs move far,
//! no engine can agree closely, and none is accused. If an output differs by more than all of this, rounding is
//! not the cause, even within a tolerance.

use super::Evaluator;
use super::moved::{ELEMENT, MovedRuns, RUNS};
use super::registry::arithmetic_of;
use crate::bounds::{Activations, Arithmetic, median};
use crate::compare::Agreement;
use crate::engine::{Output, Target};
use crate::graph::ValueName;
use crate::report::{OutputReport, TargetReport};
use crate::tensor::{Dtype, Format, Rounding};
use crate::verdict::{KEEP_ACTIVATIONS, Kind, News, Verdict};

/// An error this many times larger than the first run's spread is not rounding; no further run can change that.
const HOPELESS: f64 = 100.0;
/// An engine that quantizes activations is nearer to a reference that does, by at least this factor. It is below 1e-4
/// for one product, and grows in deep networks, where other last digits cross ties.
const NEARER: f64 = 0.5;
/// From this many units of the storage on, the report says that a network amplifies rounding.
const AMPLIFIES: f64 = 100.0;

/// How many times its spread an error may be: for the whole output, and for each element.
#[derive(Debug, Clone, Copy)]
struct SpreadLimits {
    whole: f64,
    element: f64,
}

impl SpreadLimits {
    /// Honest f32 sums in a different order need up to 4 for the whole: a square root of n roundings inside an
    /// operator that counts as one here. Honest devices need up to 8.6 for an element, and ONNX Runtime with
    /// its fused operators 18.6 (magika, a network of GELUs).
    const F32: SpreadLimits = SpreadLimits { whole: 8.0, element: 32.0 };
    /// Storage costs more than sums do. Honest devices of 16 bits need up to 1.1 and 8.6 (20 networks of 10 to 20
    /// layers).
    const NARROW: SpreadLimits = SpreadLimits { whole: 2.0, element: ELEMENT };
    /// Beyond these limits a tolerance is withdrawn, if no document declares how a device adds up and rounds.
    const UNDECLARED: SpreadLimits = SpreadLimits { whole: 16.0, element: 128.0 };
}

impl Evaluator<'_> {
    /// The report, with a new verdict if the spread of the outputs contradicts the old one. Rounding alone
    /// explains a difference within the spread, and no difference beyond it.
    pub(super) fn hold_to_spread(
        &self,
        target: &Target,
        report: TargetReport,
        right: &[Output],
        found: &[Output],
    ) -> TargetReport {
        let arithmetic = arithmetic_of(target, self.request.model);
        let is_narrow = arithmetic.format != Format::F32;
        let limits = if is_narrow { SpreadLimits::NARROW } else { SpreadLimits::F32 };
        // A choice is judged by the values behind it: rounding does not excuse the order of equal values.
        let is_chosen = |name: &ValueName| {
            report.outputs.iter().any(|output| output.name == *name && output.choice.is_some())
        };
        let is_bad = |output: &OutputReport| {
            output.choice.is_some() && output.agreement == Agreement::Diverges
        };
        if report.outputs.iter().any(is_bad) {
            return report;
        }
        let right: Vec<Output> =
            right.iter().filter(|right| !is_chosen(&right.name)).cloned().collect();
        match report.verdict.kind {
            Kind::Divergent => match self.spread(target, &arithmetic, limits, &right, found) {
                Some((true, Spread { activations: Some(way), error, .. })) => {
                    let mut report = said(report, Kind::Precision, quantized(way, error));
                    report.verdict.hint = Some(KEEP_ACTIVATIONS.into());
                    report
                }
                Some((true, spread)) => {
                    said(report, Kind::Explained, spread.words(arithmetic.format))
                }
                _ => report,
            },
            kind if kind.news() == News::Good && is_narrow && is_by_storage(&report) => {
                let is_declared = arithmetic.rounding.is_some();
                let limits =
                    if is_declared { SpreadLimits::NARROW } else { SpreadLimits::UNDECLARED };
                match self.spread(target, &arithmetic, limits, &right, found) {
                    Some((false, spread)) => {
                        let words = spread.beyond(arithmetic.format);
                        said(report, Kind::Divergent, words)
                    }
                    _ => report,
                }
            }
            _ => report,
        }
    }

    /// Whether the target's outputs differ from the right ones by no more than rounding moves them. Returns the
    /// sizes of both; `None` if this cannot be decided.
    fn spread(
        &self,
        target: &Target,
        arithmetic: &Arithmetic,
        limits: SpreadLimits,
        right: &[Output],
        found: &[Output],
    ) -> Option<(bool, Spread)> {
        let runs = MovedRuns::of(target, self.request, self.second());
        let mut moves = Moves { runs: &runs, right, squares: Vec::new() };
        let choices = moves.choices(found)?;
        let mut nearest = moves.hold(limits, right, found, choices)?;
        if nearest.0 {
            nearest.1.is_approximate = runs.are_approximate();
            return Some(nearest);
        }
        // An honest device that cuts digits off is near a reference that cuts them off in every operator.
        // Cutting is no noise: it always goes one way.
        let cuts = match arithmetic.rounding {
            Some(rounding) => rounding == Rounding::TowardZero,
            None => arithmetic.format != Format::F32,
        };
        if let Some(Ok(centre)) = cuts.then(|| runs.cut_off()) {
            let held = moves.hold(limits, &centre, found, choices)?;
            if held.0 {
                return Some(held);
            }
        }
        // An engine that quantizes activations is near a reference that does, in runs that do.
        let error = nearest.1.error;
        let quantized = |way| {
            let runs = runs.quantized(way);
            let centre = runs.still().ok()?;
            if relative_error(&centre, found)? > NEARER * error {
                return None;
            }
            let mut moves = Moves { runs: &runs, right: &centre, squares: Vec::new() };
            let held = moves.hold(limits, &centre, found, moves.choices(found)?)?;
            held.0.then_some((true, Spread { activations: Some(way.0), error, ..held.1 }))
        };
        Some(runs.ways().into_iter().find_map(quantized).unwrap_or(nearest))
    }
}

/// The moved runs, and their distances from the right outputs.
struct Moves<'a> {
    runs: &'a MovedRuns<'a>,
    right: &'a [Output],
    /// After each run, the sums of the squared distances from the right values, by output of floats.
    squares: Vec<Vec<Vec<f64>>>,
}

impl Moves<'_> {
    /// Whether the outputs are within the limits around a centre, and the sizes of the error and the spread.
    fn hold(
        &mut self,
        limits: SpreadLimits,
        centre: &[Output],
        found: &[Output],
        choices: Choices,
    ) -> Option<(bool, Spread)> {
        let floats = centre.iter().filter(|centre| centre.tensor.dtype().is_float());
        let pairs: Vec<Pair> =
            floats.map(|centre| Pair::of(centre, found)).collect::<Option<_>>()?;
        for run in 0..RUNS {
            let spread = Spread::of(&pairs, self.after(run)?, run + 1, choices);
            if spread.error > HOPELESS * spread.relative {
                return Some((false, spread));
            }
        }
        let step = self.runs.format().epsilon() * 2.0;
        let squares = self.after(RUNS - 1)?;
        let spread = Spread::of(&pairs, squares, RUNS, choices);
        let is_moved = spread.relative > 0.0 || choices.near > 0;
        let within = is_moved
            && choices.far == 0
            && spread.error <= limits.whole * spread.relative
            && pairs
                .iter()
                .zip(squares)
                .all(|(pair, squares)| pair.is_within(squares, limits.element, step));
        Some((within, spread))
    }

    /// The squares after a run; the caller has asked for all earlier runs before.
    fn after(&mut self, run: usize) -> Option<&[Vec<f64>]> {
        if self.squares.len() == run {
            let next = self.next(run)?;
            self.squares.push(next);
        }
        self.squares.get(run).map(Vec::as_slice)
    }

    fn next(&self, run: usize) -> Option<Vec<Vec<f64>>> {
        let runs = self.runs.near(run + 1)?;
        let moved = runs.get(run)?;
        let floats = self.right.iter().filter(|right| right.tensor.dtype().is_float());
        let mut all = Vec::new();
        for (at, right) in floats.enumerate() {
            let moved = moved.iter().find(|output| output.name == right.name)?;
            let (values, right) = (moved.tensor.numbers(1), right.tensor.numbers(1));
            if values.len() != right.len() {
                return None;
            }
            let differences = values.iter().zip(&right).map(|(m, r)| finite(m - r).powi(2));
            let before = self.squares.last().map(|squares| squares[at].as_slice());
            let before = before.unwrap_or_default().iter().copied().chain(std::iter::repeat(0.0));
            all.push(differences.zip(before).map(|(square, before)| before + square).collect());
        }
        Some(all)
    }

    /// Counts the wrong elements of integers and booleans. Some also change in moved runs, across a threshold
    /// or by rounding to a whole number; the others do not.
    fn choices(&self, found: &[Output]) -> Option<Choices> {
        let mut choices = Choices::default();
        for right in self.right.iter().filter(|right| !right.tensor.dtype().is_float()) {
            let found = found.iter().find(|output| output.name == right.name)?;
            if found.tensor.shape() != right.tensor.shape() {
                return None;
            }
            let (right_values, values) = (right.tensor.numbers(1), found.tensor.numbers(1));
            let other: Vec<usize> =
                (0..values.len()).filter(|&at| values[at] != right_values[at]).collect();
            if other.is_empty() {
                continue;
            }
            let runs = self.runs.far()?;
            let outputs = runs.iter().filter_map(|run| run.iter().find(|o| o.name == right.name));
            let moved: Vec<Vec<f64>> = outputs.map(|output| output.tensor.numbers(1)).collect();
            let is_number = matches!(right.tensor.dtype(), Dtype::U8 | Dtype::I8);
            for at in other {
                let seen = moved.iter().filter_map(|moved| moved.get(at).copied());
                // A byte may have any value in between; an index or a truth value must equal a seen value.
                let is_near = match is_number {
                    false => seen.clone().any(|seen| seen == values[at]),
                    true => {
                        let (low, high) = seen
                            .fold((right_values[at], right_values[at]), |(low, high), seen| {
                                (low.min(seen), high.max(seen))
                            });
                        (low..=high).contains(&values[at])
                    }
                };
                *(if is_near { &mut choices.near } else { &mut choices.far }) += 1;
            }
        }
        Some(choices)
    }
}

/// Integers and booleans that differ: how many of them moved roundings also change, and how many they do not.
#[derive(Debug, Clone, Copy, Default)]
struct Choices {
    near: u64,
    far: u64,
}

/// Whether an output is only within the tolerance of its storage; a nearer output needs no check.
fn is_by_storage(report: &TargetReport) -> bool {
    report
        .outputs
        .iter()
        .any(|output| output.agreement == Agreement::Agrees && !output.judgement.rule.is_exact())
}

/// The relative L2 error of the worst output; `None` if an output is missing or has a different shape.
fn relative_error(right: &[Output], found: &[Output]) -> Option<f64> {
    let floats = right.iter().filter(|right| right.tensor.dtype().is_float());
    let pairs: Vec<Pair> = floats.map(|right| Pair::of(right, found)).collect::<Option<_>>()?;
    let none: Vec<Vec<f64>> = pairs.iter().map(|pair| vec![0.0; pair.right.len()]).collect();
    Some(Spread::of(&pairs, &none, 1, Choices::default()).error)
}

/// A target that rounds activations to integers, and by how much its outputs differ.
fn quantized(way: Activations, error: f64) -> String {
    format!(
        "this engine rounds activations to {} before it multiplies them by integer weights: that explains the relative error of {error:.2e}",
        way.words()
    )
}

fn said(mut report: TargetReport, kind: Kind, sentence: String) -> TargetReport {
    let confidence = report.verdict.confidence;
    report.verdict = Verdict { kind, sentence, confidence, diagnosis: Vec::new(), hint: None };
    report
}

/// One output: the right values and the target's.
struct Pair {
    right: Vec<f64>,
    found: Vec<f64>,
    /// The number of similar elements: a channel (all axes after the second), or else the last axis.
    row: usize,
}

impl Pair {
    fn of(right: &Output, found: &[Output]) -> Option<Self> {
        let found = found.iter().find(|output| output.name == right.name)?;
        (right.tensor.shape() == found.tensor.shape()).then(|| Pair {
            right: right.tensor.numbers(1),
            found: found.tensor.numbers(1),
            row: match right.tensor.shape() {
                [_, _, rest @ ..] if !rest.is_empty() => rest.iter().product(),
                shape => shape.last().copied().unwrap_or(1),
            },
        })
    }

    /// Whether every element is within its own spread, or the usual spread of its row. With few runs, some
    /// elements do not move by chance. For those the row's median, absolute and relative, is used.
    fn is_within(&self, squares: &[f64], times: f64, step: f64) -> bool {
        let spread: Vec<f64> = squares.iter().map(|square| (square / RUNS as f64).sqrt()).collect();
        let size = self.row.max(1);
        let rows = spread.chunks(size).zip(self.right.chunks(size)).zip(self.found.chunks(size));
        rows.into_iter().all(|((spread, right), found)| {
            // An element that a threshold made zero in every run does not show how far its row moves.
            let usual = median(spread.iter().copied().filter(|spread| *spread > 0.0).collect());
            let sizes = spread.iter().zip(right).filter(|(_, right)| **right != 0.0);
            let relative = median(sizes.map(|(spread, right)| spread / right.abs()).collect());
            spread.iter().zip(right).zip(found).all(|((spread, right), found)| {
                let spread = spread.max(usual).max(relative * right.abs());
                let allowed = times * spread + step * right.abs();
                right == found
                    || (right.is_nan() && found.is_nan())
                    || (right - found).abs() <= allowed
            })
        })
    }
}

/// The sizes of rounding's effect and of the target's error.
struct Spread {
    relative: f64,
    error: f64,
    choices: Choices,
    /// Whether the spread includes operators that the engine approximates by design.
    is_approximate: bool,
    /// How the engine quantizes activations, if that explains the error.
    activations: Option<Activations>,
}

impl Spread {
    fn words(&self, format: Format) -> String {
        let Spread { relative, error, choices, is_approximate, .. } = self;
        let crossed = match choices.near {
            0 => String::new(),
            1 => format!(
                "1 element is so near a threshold that {format} rounding changes it: runs of the reference with each rounding moved change it, too"
            ),
            near => format!(
                "{near} elements are so near a threshold that {format} rounding changes them: runs of the reference with each rounding moved change them, too"
            ),
        };
        if *error == 0.0 {
            return crossed;
        }
        let amplified = relative / (2.0 * format.epsilon());
        let what = format!(
            "roundings of one unit in the last place move the outputs by {relative:.2e} (relative L2), and this target differs by {error:.2e}"
        );
        let sizes = match amplified > AMPLIFIES {
            _ if *is_approximate => format!(
                "no more than {format} rounding and what this engine approximates by design: they move the outputs by {relative:.2e} (relative L2), and this target differs by {error:.2e}, each element within its own spread"
            ),
            true => format!(
                "this network amplifies rounding ×{amplified:.0}: {what}; an honest {format} engine may differ by that much"
            ),
            false => {
                format!(
                    "no more than {format} rounding: {what}, each element within its own spread"
                )
            }
        };
        if crossed.is_empty() { sizes } else { format!("{sizes}; {crossed}") }
    }

    fn beyond(&self, format: Format) -> String {
        let Spread { relative, error, .. } = self;
        format!(
            "a relative error of {error:.2e} is within the tolerance of {format}, but more than {format} rounding makes here: that moves the outputs by {relative:.2e} (relative L2)"
        )
    }

    /// The worst output represents all outputs.
    fn of(pairs: &[Pair], squares: &[Vec<f64>], runs: usize, choices: Choices) -> Self {
        let (is_approximate, activations) = (false, None);
        let mut worst = Spread { relative: 0.0, error: 0.0, choices, is_approximate, activations };
        for (pair, squares) in pairs.iter().zip(squares) {
            let size = pair.right.iter().map(|r| finite(*r).powi(2)).sum::<f64>().sqrt();
            let spread = (squares.iter().sum::<f64>() / runs as f64).sqrt();
            let differences =
                pair.right.iter().zip(&pair.found).map(|(r, f)| finite(r - f).powi(2));
            let error = differences.sum::<f64>().sqrt();
            if size > 0.0 && error / size >= worst.error {
                (worst.relative, worst.error) = (spread / size, error / size);
            }
        }
        worst
    }
}

fn finite(value: f64) -> f64 {
    if value.is_finite() { value } else { 0.0 }
}
