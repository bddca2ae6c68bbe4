//! How far rounding alone can move a network's outputs.
//!
//! The reference runs a few times more with every rounding moved at random by up to one unit in the last
//! place of `f32`. An honest engine is the exact result for inputs moved by a few
//! such roundings (backward stability; Higham, *Accuracy and Stability of Numerical Algorithms*, 2002,
//! ch. 1). Where the outputs move far, no engine can agree closely, and nobody is accused of it.

use super::Session;
use crate::engine::{NodeSteps, Output, Second};
use crate::inputs::Random;
use crate::report::TargetReport;
use crate::tensor::Tensor;
use crate::verdict::{Kind, Verdict};
use crate::walk::Freedom;
use std::cell::RefCell;

/// Runs at most. With five, an element's spread is within a factor of two of its limit nineteen times in
/// twenty (chi squared with five degrees of freedom).
const RUNS: u64 = 5;
/// One unit in the last place of a number just above a power of two, relative: 2⁻²³. A move by less than
/// half of it would be rounded away.
const ULP: f64 = 1.0 / 8_388_608.0;
/// The error of the whole may be this many times its spread. Honest f32 sums in another order need up to 4
/// (a square root of n roundings inside an operator that counts as one here).
const WHOLE: f64 = 8.0;
/// An element may be off by this many times its spread, beside one unit in its last place. Honest devices need up to 8.6 with five runs (20 networks of 10 to 20 layers, f16 and f32).
const ELEMENT: f64 = 16.0;
/// An error this many times larger than the spread of the first run is no rounding, whatever the others say.
const HOPELESS: f64 = 100.0;
/// From this many units in the last place on, a network is said to amplify rounding.
const AMPLIFIES: f64 = 100.0;

impl Session<'_> {
    /// The report, its verdict changed if rounding alone may move the outputs as far as the target's differ.
    pub(super) fn excuse_conditioning(
        &self,
        mut report: TargetReport,
        right: &[Output],
        found: &[Output],
    ) -> TargetReport {
        if report.verdict.kind != Kind::Divergent {
            return report;
        }
        let Some(spread) = self.spread(right, found) else { return report };
        let Verdict { confidence, .. } = report.verdict;
        report.verdict = Verdict {
            kind: Kind::Explained,
            sentence: spread.words(),
            confidence,
            diagnosis: Vec::new(),
            hint: None,
        };
        report
    }

    /// The spread of the outputs, if the target's differ from the right ones by no more than it allows.
    fn spread(&self, right: &[Output], found: &[Output]) -> Option<Spread> {
        let pairs: Vec<Pair> =
            right.iter().map(|right| Pair::of(right, found)).collect::<Option<_>>()?;
        let mut squares: Vec<Vec<f64>> =
            pairs.iter().map(|pair| vec![0.0; pair.right.len()]).collect();
        let second = self.second();
        for run in 0..RUNS {
            let moved = self.moved(run, second.clone()).ok()?;
            for (pair, squares) in pairs.iter().zip(&mut squares) {
                let moved = moved.iter().find(|output| output.name.as_str() == pair.name)?;
                let values = moved.tensor.numbers(1);
                if values.len() != squares.len() {
                    return None;
                }
                let differences = values.iter().zip(&pair.right).map(|(m, r)| finite(m - r));
                squares.iter_mut().zip(differences).for_each(|(sum, d)| *sum += d * d);
            }
            let spread = Spread::of(&pairs, &squares, run + 1);
            if spread.error > HOPELESS * spread.relative {
                return None;
            }
        }
        let spread = Spread::of(&pairs, &squares, RUNS);
        let allowed = spread.relative > 0.0
            && spread.error <= WHOLE * spread.relative
            && pairs.iter().zip(&squares).all(|(pair, squares)| pair.is_within(squares));
        allowed.then_some(spread)
    }

    /// The outputs with every rounding moved: the outputs of what rounds, and the inputs of what sums or
    /// approximates, which rounds inside. What only moves values, or rounds once, has exact inputs.
    fn moved(&self, seed: u64, second: Option<Second>) -> Result<Vec<Output>, String> {
        let random = RefCell::new(Random::new(seed));
        let move_all = |tensor: &Tensor| moved(tensor, &mut random.borrow_mut());
        let mut steps = NodeSteps::with_second(self.request.model, second)?;
        steps.start(self.request.feeds)?;
        for step in 0..steps.len() {
            let freedom = Freedom::of(&steps.node(step).1);
            let inputs = steps.inputs(step)?;
            let outputs = match freedom {
                Freedom::Free => {
                    let inputs: Vec<Option<Tensor>> =
                        inputs.iter().map(|input| input.as_ref().map(move_all)).collect();
                    steps.compute(step, &inputs, &move_all)?
                }
                _ => steps.compute(step, &inputs, &Tensor::clone)?,
            };
            let outputs: Vec<Tensor> = match freedom {
                Freedom::Moves => outputs,
                _ => outputs.iter().map(move_all).collect(),
            };
            steps.store(step, &outputs);
            steps.forget(step);
        }
        steps.outputs()
    }
}

/// One output: the right values and the target's.
struct Pair {
    name: String,
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
            name: right.name.to_string(),
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
    fn is_within(&self, squares: &[f64]) -> bool {
        let spread: Vec<f64> = squares.iter().map(|square| (square / RUNS as f64).sqrt()).collect();
        let size = self.row.max(1);
        let rows = spread.chunks(size).zip(self.right.chunks(size)).zip(self.found.chunks(size));
        rows.into_iter().all(|((spread, right), found)| {
            let usual = median(spread.to_vec());
            let sizes = spread.iter().zip(right).filter(|(_, right)| **right != 0.0);
            let relative = median(sizes.map(|(spread, right)| spread / right.abs()).collect());
            spread.iter().zip(right).zip(found).all(|((spread, right), found)| {
                let spread = spread.max(usual).max(relative * right.abs());
                let allowed = ELEMENT * spread + ULP * right.abs();
                right == found
                    || (right.is_nan() && found.is_nan())
                    || (right - found).abs() <= allowed
            })
        })
    }
}

/// The middle of some numbers; 0 for none. NaN and infinities, as where the right value is none, do not count.
fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.retain(|number| number.is_finite());
    numbers.sort_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied().unwrap_or(0.0)
}

/// The sizes of what rounding does and of what the target did.
struct Spread {
    relative: f64,
    error: f64,
}

impl Spread {
    fn words(&self) -> String {
        let Spread { relative, error } = self;
        let amplified = relative / ULP;
        let what = format!(
            "roundings of one unit in the last place move the outputs by {relative:.2e} (relative L2), and this target differs by {error:.2e}"
        );
        match amplified > AMPLIFIES {
            true => format!(
                "this network amplifies rounding ×{amplified:.0}: {what}; an honest f32 engine may differ by that much"
            ),
            false => {
                format!("no more than f32 rounding: {what}, each element within its own spread")
            }
        }
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

/// Every element moved by at most one unit in its last place.
fn moved(tensor: &Tensor, random: &mut Random) -> Tensor {
    let mut step = || 1.0 + ULP * (2.0 * random.unit() - 1.0);
    match tensor {
        Tensor::F32(array) => Tensor::F32(array.mapv(|value| (f64::from(value) * step()) as f32)),
        // A reference in f64 has the values that f32 engines round.
        Tensor::F64(array) => Tensor::F64(array.mapv(|value| value * step())),
        other => other.clone(),
    }
}
