//! How far rounding alone can move a network's outputs.
//!
//! The reference runs a few times more with every rounding moved at random, by as much as the target's storage
//! costs. An honest engine is the exact result for inputs moved by a few such roundings (backward stability;
//! Higham, *Accuracy and Stability of Numerical Algorithms*, 2002, ch. 1). Where the outputs move far, no engine
//! can agree closely, and nobody is accused of it. An output that moved further than all of this is no rounding,
//! whatever tolerance it is within.

use super::Session;
use super::search::arithmetic_of;
use crate::bounds::{Arithmetic, median};
use crate::compare::Agreement;
use crate::engine::{NodeSteps, Output, Second, Target};
use crate::inputs::{Feed, Random};
use crate::report::TargetReport;
use crate::tensor::{Format, Rounding, Tensor, round_tensor};
use crate::verdict::{Kind, News, Verdict};
use crate::walk::Freedom;
use std::cell::RefCell;

/// Runs at most. With five, an element's spread is within a factor of two of its limit nineteen times in
/// twenty (chi squared with five degrees of freedom).
const RUNS: u64 = 5;
/// One unit in the last place of a number just above a power of two, relative: 2⁻²³. A move by less than
/// half of it would be rounded away.
const ULP: f64 = 1.0 / 8_388_608.0;
/// An error this many times larger than the spread of the first run is no rounding, whatever the others say.
const HOPELESS: f64 = 100.0;
/// From this many units of the storage on, a network is said to amplify rounding.
const AMPLIFIES: f64 = 100.0;

/// How many times its spread an error may be: that of the whole output, and that of each element.
#[derive(Debug, Clone, Copy)]
struct Limits {
    whole: f64,
    element: f64,
}

impl Limits {
    /// Honest f32 sums in another order need up to 4 for the whole (a square root of n roundings inside an operator
    /// that counts as one here), honest devices up to 8.6 for an element.
    const F32: Limits = Limits { whole: 8.0, element: 16.0 };
    /// Storage costs more than sums do. Honest devices of 16 bits need up to 1.1 and 8.6 (20 networks of 10 to 20
    /// layers).
    const NARROW: Limits = Limits { whole: 2.0, element: 10.0 };
    /// A tolerance is withdrawn only from beyond here on if nothing declares how a device adds up and rounds.
    const UNDECLARED: Limits = Limits { whole: 16.0, element: 128.0 };
}

impl Session<'_> {
    /// The report, its verdict changed if it is not what the spread of the outputs says: a difference that rounding
    /// alone may make is explained, and one that no rounding makes is none.
    pub(super) fn hold_to_spread(
        &self,
        target: &Target,
        report: TargetReport,
        right: &[Output],
        found: &[Output],
    ) -> TargetReport {
        let arithmetic = arithmetic_of(target, self.request.model);
        let is_narrow = arithmetic.format != Format::F32;
        let limits = if is_narrow { Limits::NARROW } else { Limits::F32 };
        match report.verdict.kind {
            Kind::Divergent => match self.spread(&arithmetic, limits, right, found) {
                Some((true, spread)) => {
                    said(report, Kind::Explained, spread.words(arithmetic.format))
                }
                _ => report,
            },
            kind if kind.news() == News::Good && is_narrow && is_by_storage(&report) => {
                let is_declared = arithmetic.rounding.is_some();
                let limits = if is_declared { Limits::NARROW } else { Limits::UNDECLARED };
                match self.spread(&arithmetic, limits, right, found) {
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

    /// Whether the target's outputs differ from the right ones by no more than rounding moves them, and the sizes of
    /// both; `None` if nothing can be said.
    fn spread(
        &self,
        arithmetic: &Arithmetic,
        limits: Limits,
        right: &[Output],
        found: &[Output],
    ) -> Option<(bool, Spread)> {
        let mut moves = Moves { session: self, arithmetic, right, squares: Vec::new() };
        let nearest = moves.hold(limits, right, found)?;
        if nearest.0 {
            return Some(nearest);
        }
        // An honest device that cuts digits off lies around a reference that does so in every operator. Cutting is
        // no noise: it always goes one way.
        let cuts = match arithmetic.rounding {
            Some(rounding) => rounding == Rounding::TowardZero,
            None => arithmetic.format != Format::F32,
        };
        let cut = |tensor: &Tensor| cut(tensor, arithmetic.format);
        let run = Moving { value: &cut, inside: None, exact: &cut };
        match cuts.then(|| self.run_moved(&run, self.second())) {
            Some(Ok(centre)) => {
                let held = moves.hold(limits, &centre, found)?;
                Some(if held.0 { held } else { nearest })
            }
            _ => Some(nearest),
        }
    }

    /// The outputs with every rounding moved: the outputs of what rounds, and in `f32` also the inputs of what sums
    /// or approximates, which rounds inside. What only moves values, or rounds once, has exact inputs.
    fn moved(
        &self,
        seed: u64,
        arithmetic: &Arithmetic,
        second: Option<Second>,
    ) -> Result<Vec<Output>, String> {
        let random = RefCell::new(Random::new(seed));
        let noise = Noise::of(arithmetic.format);
        let move_all = |tensor: &Tensor| noise.moved(tensor, &mut random.borrow_mut());
        // In 16 bits a device rounds what it stores, its feeds and its weights as well.
        let (inside, exact): (Option<Change<'_>>, Change<'_>) = match arithmetic.format {
            Format::F32 => (Some(&move_all), &Tensor::clone),
            _ => (None, &move_all),
        };
        self.run_moved(&Moving { value: &move_all, inside, exact }, second)
    }

    fn run_moved(
        &self,
        change: &Moving<'_>,
        second: Option<Second>,
    ) -> Result<Vec<Output>, String> {
        let mut steps = NodeSteps::with_second(self.request.model, second)?;
        let feed = |feed: &Feed| Feed { tensor: (change.exact)(&feed.tensor), ..feed.clone() };
        let feeds: Vec<Feed> = self.request.feeds.iter().map(feed).collect();
        steps.start(&feeds)?;
        for step in 0..steps.len() {
            let freedom = Freedom::of(&steps.node(step).1);
            let inputs = steps.inputs(step)?;
            let outputs = match (freedom, change.inside) {
                (Freedom::Free, Some(inside)) => {
                    let inputs: Vec<Option<Tensor>> =
                        inputs.iter().map(|input| input.as_ref().map(inside)).collect();
                    steps.compute(step, &inputs, inside)?
                }
                _ => steps.compute(step, &inputs, change.exact)?,
            };
            let outputs: Vec<Tensor> = match freedom {
                Freedom::Moves => outputs,
                _ => outputs.iter().map(change.value).collect(),
            };
            steps.store(step, &outputs);
            steps.forget(step);
        }
        steps.outputs()
    }
}

/// Runs of the reference with every rounding moved, made when they are asked for and kept.
struct Moves<'a> {
    session: &'a Session<'a>,
    arithmetic: &'a Arithmetic,
    right: &'a [Output],
    /// After each run, the squares of the distances from the right values so far, by output.
    squares: Vec<Vec<Vec<f64>>>,
}

impl Moves<'_> {
    /// Whether the outputs found lie within the limits around a centre, and the sizes of the error and the spread.
    fn hold(
        &mut self,
        limits: Limits,
        centre: &[Output],
        found: &[Output],
    ) -> Option<(bool, Spread)> {
        let pairs: Vec<Pair> =
            centre.iter().map(|centre| Pair::of(centre, found)).collect::<Option<_>>()?;
        for run in 0..RUNS {
            let spread = Spread::of(&pairs, self.after(run)?, run + 1);
            if spread.error > HOPELESS * spread.relative {
                return Some((false, spread));
            }
        }
        let step = self.arithmetic.format.epsilon() * 2.0;
        let squares = self.after(RUNS - 1)?;
        let spread = Spread::of(&pairs, squares, RUNS);
        let within = spread.relative > 0.0
            && spread.error <= limits.whole * spread.relative
            && pairs
                .iter()
                .zip(squares)
                .all(|(pair, squares)| pair.is_within(squares, limits.element, step));
        Some((within, spread))
    }

    /// The squares after a run; the runs up to it have been asked for before.
    fn after(&mut self, run: u64) -> Option<&[Vec<f64>]> {
        let run = usize::try_from(run).ok()?;
        if self.squares.len() == run {
            let next = self.next(run as u64)?;
            self.squares.push(next);
        }
        self.squares.get(run).map(Vec::as_slice)
    }

    fn next(&self, run: u64) -> Option<Vec<Vec<f64>>> {
        let moved = self.session.moved(run, self.arithmetic, self.session.second()).ok()?;
        let mut all = Vec::new();
        for (at, right) in self.right.iter().enumerate() {
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
}

/// Every element with the digits cut off that a format has no room for. What is beyond its range stays: that is
/// lost, and no rounding.
fn cut(tensor: &Tensor, format: Format) -> Tensor {
    match (tensor, round_tensor(tensor, format, Rounding::TowardZero)) {
        (Tensor::F32(array), Tensor::F32(mut kept)) => {
            kept.zip_mut_with(array, |kept, &value| {
                if f64::from(value.abs()) > format.max() {
                    *kept = value;
                }
            });
            Tensor::F32(kept)
        }
        (_, kept) => kept,
    }
}

/// What becomes of a tensor.
type Change<'a> = &'a dyn Fn(&Tensor) -> Tensor;

/// What a run of the reference changes.
struct Moving<'a> {
    /// A value that an operator rounds and stores.
    value: Change<'a>,
    /// The inputs and constants of an operator that rounds inside, if that is to be seen.
    inside: Option<Change<'a>>,
    /// Feeds and all other constants.
    exact: Change<'a>,
}

/// Whether an output is within the tolerance of its storage only: nearer, nothing is left to be said.
fn is_by_storage(report: &TargetReport) -> bool {
    report.outputs.iter().any(|output| {
        output.agreement == Agreement::Agrees
            && !["identical", "strict tolerance"].contains(&output.judgement.rule.as_str())
    })
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
    /// Elements that are alike: a channel, all axes behind the second one, or else the last axis.
    row: usize,
}

impl Pair {
    fn of(right: &Output, found: &[Output]) -> Option<Self> {
        let found = found.iter().find(|output| output.name == right.name)?;
        let comparable =
            right.tensor.dtype().is_float() && right.tensor.shape() == found.tensor.shape();
        comparable.then(|| Pair {
            right: right.tensor.numbers(1),
            found: found.tensor.numbers(1),
            row: match right.tensor.shape() {
                [_, _, rest @ ..] if !rest.is_empty() => rest.iter().product(),
                shape => shape.last().copied().unwrap_or(1),
            },
        })
    }

    /// Whether every element is within its own spread, or what is usual in its row. Few runs leave some
    /// elements where they were by chance; the median of the row, absolute and relative, stands in for those.
    fn is_within(&self, squares: &[f64], times: f64, step: f64) -> bool {
        let spread: Vec<f64> = squares.iter().map(|square| (square / RUNS as f64).sqrt()).collect();
        let size = self.row.max(1);
        let rows = spread.chunks(size).zip(self.right.chunks(size)).zip(self.found.chunks(size));
        rows.into_iter().all(|((spread, right), found)| {
            // An element that a threshold made zero in every run says nothing of its row.
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

/// The sizes of what rounding does and of what the target did.
struct Spread {
    relative: f64,
    error: f64,
}

impl Spread {
    fn words(&self, format: Format) -> String {
        let Spread { relative, error } = self;
        let amplified = relative / (2.0 * format.epsilon());
        let what = format!(
            "roundings of one unit in the last place move the outputs by {relative:.2e} (relative L2), and this target differs by {error:.2e}"
        );
        match amplified > AMPLIFIES {
            true => format!(
                "this network amplifies rounding ×{amplified:.0}: {what}; an honest {format} engine may differ by that much"
            ),
            false => {
                format!(
                    "no more than {format} rounding: {what}, each element within its own spread"
                )
            }
        }
    }

    fn beyond(&self, format: Format) -> String {
        let Spread { relative, error } = self;
        format!(
            "a relative error of {error:.2e} is within the tolerance of {format}, but more than {format} rounding makes here: that moves the outputs by {relative:.2e} (relative L2)"
        )
    }

    /// The worst output speaks for all.
    fn of(pairs: &[Pair], squares: &[Vec<f64>], runs: u64) -> Self {
        let mut worst = Spread { relative: 0.0, error: 0.0 };
        for (pair, squares) in pairs.iter().zip(squares) {
            let size = pair.right.iter().map(|r| finite(*r).powi(2)).sum::<f64>().sqrt();
            let spread = (squares.iter().sum::<f64>() / runs as f64).sqrt();
            let differences =
                pair.right.iter().zip(&pair.found).map(|(r, f)| finite(r - f).powi(2));
            let error = differences.sum::<f64>().sqrt();
            if size > 0.0 && error / size >= worst.error {
                worst = Spread { relative: spread / size, error: error / size };
            }
        }
        worst
    }
}

fn finite(value: f64) -> f64 {
    if value.is_finite() { value } else { 0.0 }
}

/// How far a rounding moves a value.
struct Noise {
    format: Format,
    /// Relative.
    unit: f64,
    /// At least, in `f16`, whose smallest values are far apart.
    least: f64,
}

impl Noise {
    fn of(format: Format) -> Self {
        match format {
            Format::F32 => Noise { format, unit: ULP, least: 0.0 },
            Format::F16 => {
                Noise { format, unit: format.epsilon(), least: format.step_at(0.0) / 2.0 }
            }
            _ => Noise { format, unit: format.epsilon(), least: 0.0 },
        }
    }

    /// Every element moved at random.
    fn moved(&self, tensor: &Tensor, random: &mut Random) -> Tensor {
        let mut moved = |value: f64| {
            let way = 2.0 * random.unit() - 1.0;
            // A value that a narrow format holds is stored as it is: a zero, a whole number, an exponent.
            match self.format != Format::F32 && self.format.holds(value as f32) {
                true => value,
                false => value + way * (self.unit * value.abs()).max(self.least),
            }
        };
        match tensor {
            Tensor::F32(array) => Tensor::F32(array.mapv(|value| moved(f64::from(value)) as f32)),
            // A reference in f64 has the values that engines round.
            Tensor::F64(array) => Tensor::F64(array.mapv(moved)),
            other => other.clone(),
        }
    }
}
