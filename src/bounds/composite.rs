//! Operators without a formula: the spread of a few runs with moved inputs (Monte Carlo arithmetic; Parker
//! 1997, Denis et al. 2016). The method is coarse: for one operator, only 64 times the spread is "not rounding".

use crate::kernels::{Call, compute};
use crate::tensor::Tensor;

/// The number of runs. After three runs, one element in a thousand has almost no spread by chance.
const RUNS: u64 = 5;

/// The bound in pooled spreads. Honest softmax and layer norms need up to 42 (3 runs) and 39 (5 runs).
const SPREADS: f64 = 64.0;

/// 2⁻²⁴: half a unit in the last place of `f32`.
const HALF_UNIT: f64 = 1.0 / 16_777_216.0;

/// The allowed difference of each output's elements, in units of half a step; `None` if a run fails.
pub(super) fn units(call: &Call<'_>, right: &[Tensor]) -> Option<Vec<Vec<f64>>> {
    let exact: Vec<Vec<f64>> = right.iter().map(|tensor| tensor.numbers(1)).collect();
    let mut squares: Vec<Vec<f64>> = exact.iter().map(|values| vec![0.0; values.len()]).collect();
    for run in 0..RUNS {
        let mut random = Noise(run + 1);
        let moved: Vec<Option<Tensor>> =
            call.inputs.iter().map(|input| input.as_ref().map(|t| random.moved(t))).collect();
        let outputs = compute(&Call { inputs: &moved, ..*call })?.ok()?;
        for ((squares, exact), output) in squares.iter_mut().zip(&exact).zip(&outputs) {
            let values = output.numbers(1);
            if values.len() != squares.len() {
                return None;
            }
            for ((square, exact), value) in squares.iter_mut().zip(exact).zip(values) {
                let apart = value - exact;
                *square += if apart.is_finite() { apart * apart } else { 0.0 };
            }
        }
    }
    let pooled = squares.iter().zip(&exact).zip(right).map(|((squares, exact), tensor)| {
        let row = tensor.shape().last().copied().unwrap_or(1).max(1);
        pool(squares, exact, row)
    });
    Some(pooled.collect())
}

/// An element's own spread, or the usual spread in its row if the element moved less by chance.
fn pool(squares: &[f64], right: &[f64], row: usize) -> Vec<f64> {
    let spread: Vec<f64> =
        squares.iter().map(|square| (square / RUNS as f64).sqrt() / HALF_UNIT).collect();
    let rows = spread.chunks(row).zip(right.chunks(row));
    let pooled = rows.flat_map(|(spread, right)| {
        let usual = median(spread.to_vec());
        let there = spread.iter().zip(right).filter(|(_, right)| **right != 0.0);
        let relative = median(there.map(|(spread, right)| spread / right.abs()).collect());
        let one = move |(spread, right): (&f64, &f64)| {
            // Divided by 4, the margin of every bound.
            SPREADS / 4.0 * spread.max(usual).max(relative * right.abs())
        };
        spread.iter().zip(right).map(one).collect::<Vec<_>>()
    });
    pooled.collect()
}

/// The median of some numbers; 0 without any. NaN and infinities do not count: the right value may be non-finite.
pub fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.retain(|number| number.is_finite());
    numbers.sort_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied().unwrap_or(0.0)
}

/// The same noise in every process: SplitMix64 (Steele, Lea and Flood 2014).
struct Noise(u64);

impl Noise {
    /// Uniform in [-1, 1).
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^= bits >> 31;
        (bits >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }

    /// Every floating-point element moved by at most half a unit in the last place of `f32`.
    fn moved(&mut self, tensor: &Tensor) -> Tensor {
        let mut step = |value: f64| value * (1.0 + HALF_UNIT * self.next());
        match tensor {
            Tensor::F32(array) => Tensor::F64(array.mapv(|value| step(f64::from(value)))),
            Tensor::F64(array) => Tensor::F64(array.mapv(step)),
            other => other.clone(),
        }
    }
}
