//! The sum of one element, added up again in several arithmetics: one of them may give what the device gave.

use super::element::Clamp;
use crate::kernels::{ReadBox, SumOperator};
use crate::tensor::{Format, Rounding, round};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The most addends that are added up again.
const MOST_ADDENDS: usize = 4096;

/// How many partial sums are kept.
const MOST_PARTIAL: usize = 48;

/// Two sums are off by about as much within this factor. Of 200 random orders of the same 64 to 1,024 addends, 70 to 99 %
/// are off in `f16` by a quarter to four times the median of all orders.
const ALIKE: f64 = 4.0;

/// How many of the largest addends are kept.
const MOST_LARGEST: usize = 4;

/// How an element's addends are added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Adding {
    /// In `f64`.
    F64,
    /// In `f32`, one after the other.
    F32,
    /// In `f32`, the sums of two halves each.
    F32Pairwise,
    /// In `bf16`, one after the other; the addends are rounded, too.
    Bf16,
    /// In `f16`, one after the other; the addends are rounded, too.
    F16,
}

impl Adding {
    /// Every arithmetic, the most exact first.
    pub const ALL: [Adding; 5] =
        [Adding::F64, Adding::F32, Adding::F32Pairwise, Adding::Bf16, Adding::F16];

    /// The name that reports show.
    pub fn words(self) -> &'static str {
        match self {
            Adding::F64 => "f64",
            Adding::F32 => "f32, in order",
            Adding::F32Pairwise => "f32, pairwise",
            Adding::Bf16 => "bf16, in order",
            Adding::F16 => "f16, in order",
        }
    }

    /// The sums after each addend; the last is the result.
    fn partial(self, addends: &[f64]) -> Vec<f64> {
        let running = |add: &dyn Fn(f64, f64) -> f64| {
            let sums = addends.iter().scan(0.0, |sum, &addend| {
                *sum = add(*sum, addend);
                Some(*sum)
            });
            sums.collect()
        };
        let narrow = |format: Format| {
            let round = move |value: f64| round(value, format, Rounding::NearestEven);
            running(&move |sum, addend| round(sum + round(addend)))
        };
        match self {
            Adding::F64 => running(&|sum, addend| sum + addend),
            Adding::F32 => running(&|sum, addend| f64::from(sum as f32 + addend as f32)),
            Adding::F32Pairwise => vec![f64::from(pairwise(addends))],
            Adding::Bf16 => narrow(Format::Bf16),
            Adding::F16 => narrow(Format::F16),
        }
    }
}

/// An element's sum in one arithmetic.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SumIn {
    /// The arithmetic.
    pub adding: Adding,
    /// The result, after the activation that is fused into the operator; absent if it is no number.
    pub value: Option<f64>,
}

/// Partial sums in order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PartialSum {
    /// How many addends are in it.
    pub addends: usize,
    /// In `f64`.
    pub exact: f64,
    /// In `f16`; absent if it is no number.
    pub f16: Option<f64>,
}

/// A choice of addends whose sum is the device's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OddSum {
    /// All addends but the one with this number, from 0.
    Without(usize),
    /// All addends, and the one with this number twice.
    Twice(usize),
    /// Only so many addends, from the first on.
    First(usize),
    /// Only so many addends, up to the last.
    Last(usize),
}

/// The addends of one element, and their sum in several arithmetics.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Resummed {
    /// The number of addends: products, and the term that is added.
    pub addends: usize,
    /// The elements of the inputs that it is computed from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reads: Vec<ReadBox>,
    /// The results.
    pub sums: Vec<SumIn>,
    /// Some partial sums, the last included.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub partial: Vec<PartialSum>,
    /// The largest addends by magnitude, with their numbers from 0.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub largest: Vec<(usize, f64)>,
    /// The only other choice of addends that gives the device's value, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub odd: Option<OddSum>,
}

impl Resummed {
    /// Adds up the element at a flat position of the output. `None` if it has too many addends.
    pub(super) fn of(
        sums: &SumOperator,
        at: usize,
        clamp: Clamp,
        (found, bound): (f64, f64),
    ) -> Option<Self> {
        if sums.most() > MOST_ADDENDS {
            return None;
        }
        let mut addends = Vec::new();
        sums.addends(at, &mut addends);
        let partial = Adding::ALL.map(|adding| adding.partial(&addends));
        let [exact, .., f16] = &partial;
        let finite = |value: f64| Some(value).filter(|value| value.is_finite());
        let sum = |(adding, partial): (Adding, &Vec<f64>)| SumIn {
            adding,
            value: finite(clamp.of(partial.last().copied().unwrap_or(0.0))),
        };
        let sums_in = Adding::ALL.into_iter().zip(&partial).map(sum).collect();
        let step = addends.len().div_ceil(MOST_PARTIAL).max(1);
        let last = addends.len().saturating_sub(1);
        let places = (0..addends.len()).filter(|place| place % step == step - 1 || *place == last);
        let kept = places.map(|place| PartialSum {
            addends: place + 1,
            exact: exact[place],
            f16: finite(f16[place]),
        });
        // At a limit of the activation many sums give the same value.
        let is_free = clamp.low < found && found < clamp.high;
        let odd = is_free.then(|| odd_sum(&addends, exact, found, bound));
        let mut largest: Vec<(usize, f64)> = addends.iter().copied().enumerate().collect();
        largest.sort_by(|a, b| b.1.abs().total_cmp(&a.1.abs()));
        largest.truncate(MOST_LARGEST);
        Some(Resummed {
            addends: addends.len(),
            reads: sums.boxes(at),
            sums: sums_in,
            partial: kept.collect(),
            largest,
            odd: odd.flatten(),
        })
    }

    /// Drops the partial sums and the largest addends, which are most of its size.
    pub(super) fn shorten(&mut self) {
        (self.partial, self.largest) = (Vec::new(), Vec::new());
    }

    /// The arithmetic of 16 bits whose sum is off by about as much as the device's value. The order of a sum changes its
    /// roundings, so an engine with this arithmetic seldom has the same value.
    pub fn alike(&self, right: f64, found: f64) -> Option<Adding> {
        let apart = (found - right).abs();
        let is_alike = |sum: &&SumIn| {
            let narrow = matches!(sum.adding, Adding::Bf16 | Adding::F16);
            let off = sum.value.map_or(0.0, |value| (value - right).abs());
            narrow && (off / ALIKE..=off * ALIKE).contains(&apart)
        };
        let near = |sum: &&SumIn| {
            let off = sum.value.map_or(0.0, |value| (value - right).abs());
            (off / apart).ln().abs()
        };
        let alike = self.sums.iter().filter(is_alike);
        alike.min_by(|a, b| near(a).total_cmp(&near(b))).map(|sum| sum.adding)
    }

    /// The arithmetic whose sum is the device's value, if it explains a difference: it is not also the exact sum.
    pub fn explained_by(&self, right: f64, found: f64, bound: f64) -> Option<Adding> {
        let is_near = |value: f64, other: f64| (value - other).abs() <= bound;
        let candidates = self.sums.iter().filter(|sum| {
            sum.value.is_some_and(|value| is_near(value, found) && !is_near(value, right))
        });
        candidates.map(|sum| sum.adding).next()
    }
}

fn pairwise(addends: &[f64]) -> f32 {
    match addends {
        [] => 0.0,
        [addend] => *addend as f32,
        _ => {
            let (left, right) = addends.split_at(addends.len() / 2);
            pairwise(left) + pairwise(right)
        }
    }
}

/// The only choice of addends whose sum is the device's value, up to the bound. With many addends several choices may
/// fit by chance, and prove nothing.
fn odd_sum(addends: &[f64], exact: &[f64], found: f64, bound: f64) -> Option<OddSum> {
    let right = exact.last().copied()?;
    let is_found = |value: f64| (value - found).abs() <= bound;
    if is_found(right) {
        return None;
    }
    let single = addends.iter().enumerate().flat_map(|(at, addend)| {
        [(OddSum::Without(at), right - addend), (OddSum::Twice(at), right + addend)]
    });
    // One addend less at an end is `Without`.
    let count = addends.len();
    let parts = (1..count.saturating_sub(1)).flat_map(|most| {
        let rest = right - exact[most];
        [(OddSum::First(most), exact[most - 1]), (OddSum::Last(count - most - 1), rest)]
    });
    let mut fitting = single.chain(parts).filter(|(_, sum)| is_found(*sum));
    let (odd, _) = fitting.next()?;
    fitting.next().is_none().then_some(odd)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bounds::{Arithmetic, WorstElement, weigh};
    use crate::kernels::Call;
    use crate::tensor::Tensor;
    use std::collections::BTreeMap;

    #[test]
    fn each_arithmetic_adds_as_it_does() {
        let addends: Vec<f64> = vec![1.0; 4096];
        let last = |adding: Adding| *adding.partial(&addends).last().unwrap();
        // Above 2048 the steps of f16 are 2, above 256 those of bf16.
        assert_eq!(Adding::ALL.map(last), [4096.0, 4096.0, 4096.0, 256.0, 2048.0]);
        assert!(Adding::F16.partial(&[65504.0, 65504.0]).last().unwrap().is_infinite());
    }

    /// A row times a column of these values, which a device computed as `found`.
    fn worst_of(values: &[f32], found: f32) -> WorstElement {
        let row = Tensor::from_f32(&[1, values.len()], values.to_vec()).unwrap();
        let ones = Tensor::from_f32(&[values.len(), 1], vec![1.0; values.len()]).unwrap();
        let (inputs, attributes) = ([Some(row), Some(ones)], BTreeMap::new());
        let call = Call {
            op_type: "MatMul",
            attributes: &attributes,
            opset: 21,
            inputs: &inputs,
            outputs: 1,
        };
        let output = Tensor::from_f32(&[1, 1], vec![found]).unwrap();
        let arithmetic = Arithmetic::default();
        let excess = weigh(&call, Clamp::NONE, None, &[&output], &arithmetic).unwrap();
        excess.worst.unwrap()
    }

    #[test]
    fn the_worst_element_says_how_it_may_have_been_added() {
        let values: Vec<f32> = (0..300).map(|at| (at as f32 * 0.7).sin()).collect();
        let exact: f64 = values.iter().map(|&value| f64::from(value)).sum();
        let without = worst_of(&values, (exact - f64::from(values[7])) as f32);
        let sum = without.sum.as_ref().unwrap();
        assert_eq!(sum.odd, Some(OddSum::Without(7)));
        assert_eq!(sum.reads[0], ReadBox { input: 0, from: vec![0, 0], to: vec![0, 299] });
        assert_eq!(sum.partial.last().unwrap().addends, 300);
        let ones = vec![1.0; 4000];
        let worst = worst_of(&ones, 2048.0);
        let sum = worst.sum.as_ref().unwrap();
        assert_eq!(sum.explained_by(worst.right, worst.found, worst.bound), Some(Adding::F16));
        // An honest sum needs no explanation.
        assert!(worst_of(&values, exact as f32).sum.is_none());
    }

    #[test]
    fn an_addend_that_is_missing_is_named_only_if_it_is_the_only_one() {
        let addends = [1.0, 2.5, -4.0];
        let odd = |addends: &[f64], found: f64| {
            odd_sum(addends, &Adding::F64.partial(addends), found, 0.01)
        };
        assert_eq!(odd(&addends, -3.0), Some(OddSum::Without(1)));
        assert_eq!(odd(&addends, 3.501), Some(OddSum::Without(2)));
        assert_eq!(odd(&addends, -4.5), Some(OddSum::Twice(2)));
        assert_eq!(odd(&addends, 0.7), None);
        assert_eq!(odd(&addends, -0.5), None, "that is right");
        assert_eq!(odd(&[1.0, 1.0, 2.0], 3.0), None, "either 1 may be missing");
        let many = [1.0, 2.0, 4.0, 8.0, 16.0];
        assert_eq!(odd(&many, 7.0), Some(OddSum::First(3)));
        assert_eq!(odd(&many, 24.0), Some(OddSum::Last(2)));
    }
}
