//! NaN and infinities: the operators that cause them, the inputs that explain them, and the elements that a target
//! lost.

use super::cause::{Cause, NonfiniteElement};
use super::contract::Anatomy;
use super::reach::{Reach, Reaching};
use crate::tensor::{Format, Tensor};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The most elements that are examined for causes. An operator seldom has several causes, and those show soon.
const LOOKED_AT: usize = 64;

/// The most input values that are visited for one output's elements. After a birth, whole tensors may be NaN, and each
/// element of a convolution depends on thousands of values. Elements beyond the limit are not examined.
const MOST_VISITED: usize = 1 << 22;

/// Non-finite values that an operator caused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NonfiniteFinding {
    /// The operator.
    pub op: String,
    /// NaN elements that are numbers in the reference.
    pub nan: u64,
    /// Infinite elements that are numbers in the reference.
    pub inf: u64,
    /// The cause that the operator's inputs show.
    pub cause: Cause,
    /// Range of the finite inputs of those elements.
    pub input_range: Option<(f64, f64)>,
    /// The format whose limits apply.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<Format>,
    /// How many of the examined elements have this cause, and how many were examined. Set if their causes differ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<(usize, usize)>,
    /// Whether the cause was looked for in all inputs, because the elements' own inputs are not known.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub anywhere: bool,
}

impl NonfiniteFinding {
    /// The cause in words.
    pub fn words(&self) -> String {
        let mut words = self.cause.words(self.format);
        if self.anywhere && self.cause != Cause::Unexplained {
            words.push_str(
                " (somewhere in its inputs: which of them these elements are made of is not known)",
            );
        }
        if let Some((these, all)) = self.share {
            words.push_str(&format!(" ({these} of the {all} elements looked at)"));
        }
        words
    }

    /// The counts in words, as `2 NaN elements`, `2 NaN and 3 infinite elements`.
    pub fn count(&self) -> String {
        count(self.nan, self.inf)
    }
}

/// The counts of NaN and infinities in words.
pub(super) fn count(nan: u64, inf: u64) -> String {
    let elements = if nan + inf == 1 { "element" } else { "elements" };
    match (nan, inf) {
        (_, 0) => format!("{nan} NaN {elements}"),
        (0, _) => format!("{inf} infinite {elements}"),
        _ => format!("{nan} NaN and {inf} infinite {elements}"),
    }
}

/// Elements that are non-finite in the reference, on the same inputs, and different in the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Lost {
    /// Numbers that are NaN in the reference.
    pub nan: u64,
    /// Numbers that are infinite in the reference.
    pub inf: u64,
    /// Elements that are non-finite on both sides, but not alike.
    pub unlike: u64,
}

impl Lost {
    /// The elements in words: `4 elements are numbers where the reference, on the same inputs, has NaN`.
    pub fn words(&self) -> String {
        let numbers = self.nan + self.inf;
        let has = match (self.nan, self.inf) {
            (_, 0) => "NaN",
            (0, _) => "infinities",
            _ => "NaN or infinities",
        };
        let are = |count: u64, one: &str, many: &str| match count {
            1 => format!("1 element is {one}"),
            n => format!("{n} elements are {many}"),
        };
        let kept = are(numbers, "a number", "numbers");
        let kept = format!("{kept} where the reference, on the same inputs, has {has}");
        let unlike = are(self.unlike, "NaN or infinite", "NaN or infinite");
        let unlike = format!("{unlike} on both sides, and not alike");
        match (numbers, self.unlike) {
            (_, 0) => kept,
            (0, _) => unlike,
            _ => format!("{kept}, and {unlike}"),
        }
    }
}

/// One output of an operator, with the data that explains it.
#[derive(Clone, Copy)]
pub(super) struct NonfiniteCase<'a> {
    pub(super) op: &'a str,
    pub(super) op_type: &'a str,
    pub(super) anatomy: &'a Anatomy,
    pub(super) format: Format,
}

impl NonfiniteCase<'_> {
    /// Elements that an operator made non-finite and the reference, on the same inputs, did not.
    pub(super) fn brought_about(
        &self,
        reference: &Tensor,
        candidate: &Tensor,
    ) -> Option<NonfiniteFinding> {
        let shape = candidate.shape();
        let (reference, candidate) = (reference.numbers(1), candidate.numbers(1));
        let is_new = |at: &usize| reference[*at].is_finite() && !candidate[*at].is_finite();
        let new: Vec<usize> = (0..reference.len().min(candidate.len())).filter(is_new).collect();
        let right = |at: usize| Some(reference[at]);
        self.found(shape, &candidate, &new, &right, None)
    }

    /// Non-finite elements computed from finite inputs. `expected` is the right output, if that is known. Elements that
    /// are rightly non-finite are left out.
    pub(super) fn born(
        &self,
        expected: Option<&Tensor>,
        outputs: &Tensor,
    ) -> Option<NonfiniteFinding> {
        let (shape, outputs) = (outputs.shape(), outputs.numbers(1));
        let expected = expected.map(|expected| expected.numbers(1));
        let is_new = |at: &usize| {
            let right = expected.as_ref().and_then(|expected| expected.get(*at));
            !outputs[*at].is_finite() && right.is_none_or(|right| right.is_finite())
        };
        let new: Vec<usize> = (0..outputs.len()).filter(is_new).collect();
        let is_born = |reach: &Reach| reach.all().all(f64::is_finite);
        self.found(shape, &outputs, &new, &|_| None, Some(&is_born))
    }

    /// NaN elements computed from infinities. Infinities may be intended, as in a mask, and NaN is not.
    pub(super) fn turned(&self, outputs: &Tensor) -> Option<NonfiniteFinding> {
        let (shape, outputs) = (outputs.shape(), outputs.numbers(1));
        let nan: Vec<usize> = (0..outputs.len()).filter(|&at| outputs[at].is_nan()).collect();
        let has_turned =
            |reach: &Reach| reach.all().any(f64::is_infinite) && !reach.all().any(f64::is_nan);
        self.found(shape, &outputs, &nan, &|_| None, Some(&has_turned))
    }

    /// The elements among `at` that `keeps` accepts, with their most frequent cause. Without `keeps`, all elements.
    fn found(
        &self,
        shape: &[usize],
        outputs: &[f64],
        at: &[usize],
        right: &dyn Fn(usize) -> Option<f64>,
        keeps: Option<&dyn Fn(&Reach) -> bool>,
    ) -> Option<NonfiniteFinding> {
        if at.is_empty() {
            return None;
        }
        let reaching = Reaching::new(self.op_type, self.anatomy, shape);
        let mut seen = ExaminedElements::default();
        let mut kept = Vec::new();
        let mut visited = 0;
        for &at in at {
            if visited > MOST_VISITED {
                break;
            }
            let reach = reaching.of(at);
            visited += reach.all().count();
            if keeps.is_none_or(|keeps| keeps(&reach)) {
                let (op_type, format) = (self.op_type, self.format);
                seen.add(&NonfiniteElement { op_type, reach: &reach, right: right(at), format });
                kept.push(at);
            }
            if !reach.own || (seen.count == LOOKED_AT && (keeps.is_none() || reaching.is_finite()))
            {
                break;
            }
        }
        if keeps.is_none() || (seen.count > 0 && (seen.anywhere || reaching.is_finite())) {
            // The examined elements represent all: all have the same inputs, or all inputs are finite.
            kept = at.to_vec();
        }
        let nan = kept.iter().filter(|&&at| outputs[at].is_nan()).count() as u64;
        let (&cause, &times) = seen.causes.iter().max_by_key(|(_, times)| **times)?;
        Some(NonfiniteFinding {
            op: self.op.to_owned(),
            nan,
            inf: kept.len() as u64 - nan,
            cause,
            input_range: seen.range,
            format: Some(self.format),
            share: (times < seen.count).then_some((times, seen.count)),
            anywhere: seen.anywhere,
        })
    }
}

/// The findings from the examined elements.
#[derive(Default)]
struct ExaminedElements {
    count: usize,
    causes: BTreeMap<Cause, usize>,
    range: Option<(f64, f64)>,
    anywhere: bool,
}

impl ExaminedElements {
    fn add(&mut self, element: &NonfiniteElement<'_>) {
        if self.count == LOOKED_AT {
            return;
        }
        self.count += 1;
        self.anywhere |= !element.reach.own;
        for value in element.reach.all().filter(|value| value.is_finite()) {
            let (low, high) = self.range.unwrap_or((value, value));
            self.range = Some((low.min(value), high.max(value)));
        }
        *self.causes.entry(element.cause()).or_default() += 1;
    }
}

/// Counts zeros with the opposite sign. The sign matters in a division by them.
pub(super) fn zero_signs(reference: &Tensor, candidate: &Tensor) -> u64 {
    let (Tensor::F32(reference), Tensor::F32(candidate)) = (reference, candidate) else { return 0 };
    let is_other = |r: f32, c: f32| r == 0.0 && c == 0.0 && r.to_bits() != c.to_bits();
    match (reference.as_slice(), candidate.as_slice()) {
        // The count of a block fits the width of the elements, so the compiler vectorises the loop.
        (Some(reference), Some(candidate)) => {
            let blocks = reference.chunks(BLOCK).zip(candidate.chunks(BLOCK));
            let count = blocks.map(|(reference, candidate)| {
                let pairs = reference.iter().zip(candidate);
                pairs.map(|(r, c)| u32::from(is_other(*r, *c))).sum::<u32>()
            });
            count.map(u64::from).sum()
        }
        _ => reference.iter().zip(candidate).filter(|(r, c)| is_other(**r, **c)).count() as u64,
    }
}

/// Elements that are counted together.
const BLOCK: usize = 4096;

/// Counts elements that are non-finite in the reference, on the same inputs, and different in the candidate.
pub(super) fn lost(reference: &Tensor, candidate: &Tensor) -> Option<Lost> {
    let mut lost = Lost { nan: 0, inf: 0, unlike: 0 };
    for (r, c) in reference.numbers(1).into_iter().zip(candidate.numbers(1)) {
        match (r.is_finite(), c.is_finite()) {
            (false, true) if r.is_nan() => lost.nan += 1,
            (false, true) => lost.inf += 1,
            (false, false) if !(r == c || (r.is_nan() && c.is_nan())) => lost.unlike += 1,
            _ => {}
        }
    }
    (lost.nan + lost.inf + lost.unlike > 0).then_some(lost)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Attribute;

    fn tensor(shape: &[usize], values: &[f32]) -> Tensor {
        Tensor::from_f32(shape, values.to_vec()).unwrap()
    }

    fn anatomy(inputs: &[Tensor], attributes: &[(&str, Attribute)]) -> Anatomy {
        let attributes = attributes.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
        Anatomy {
            inputs: inputs.iter().cloned().map(Some).collect(),
            attributes: attributes.collect(),
            opset: 17,
            is_known: true,
        }
    }

    fn cause(op_type: &str, anatomy: &Anatomy, right: &Tensor, at: usize) -> Cause {
        let case = NonfiniteCase { op: "op", op_type, anatomy, format: Format::F16 };
        let mut wrong = right.numbers(1);
        wrong[at] = f64::NAN;
        let wrong: Vec<f32> = wrong.iter().map(|value| *value as f32).collect();
        case.brought_about(right, &tensor(right.shape(), &wrong)).unwrap().cause
    }

    #[test]
    fn only_the_elements_own_inputs_count() {
        let x = tensor(&[2, 2], &[1.0, 12.0, 0.0, 3.0]);
        let sigmoid = anatomy(std::slice::from_ref(&x), &[]);
        assert_eq!(cause("Sigmoid", &sigmoid, &x, 1), Cause::ExpOverflow);
        assert_eq!(cause("Sigmoid", &sigmoid, &x, 0), Cause::Unexplained);
        // The numerator is 0 elsewhere and the divisor is 3, so this is no division by zero.
        let div = anatomy(&[x.clone(), tensor(&[1], &[3.0])], &[]);
        assert_eq!(cause("Div", &div, &x, 1), Cause::Unexplained);
        let softmax = anatomy(std::slice::from_ref(&x), &[("axis", Attribute::Int(1))]);
        assert_eq!(cause("Softmax", &softmax, &x, 0), Cause::ExpOverflow);
        assert_eq!(cause("Softmax", &softmax, &x, 2), Cause::Unexplained);
    }

    #[test]
    fn sums_are_those_of_their_row_and_window() {
        let a = tensor(&[2, 2], &[300.0, 300.0, 1.0, 1.0]);
        let b = tensor(&[2, 1], &[300.0, -300.0]);
        let right = tensor(&[2, 1], &[0.0, 0.0]);
        let product = anatomy(&[a, b], &[]);
        assert_eq!(cause("MatMul", &product, &right, 0), Cause::SumOverflow);
        assert_eq!(cause("MatMul", &product, &right, 1), Cause::Unexplained);
        let x = tensor(&[1, 1, 1, 4], &[60_000.0, 60_000.0, 1.0, 1.0]);
        let weights = tensor(&[1, 1, 1, 2], &[1.0, 1.0]);
        let right = tensor(&[1, 1, 1, 3], &[0.0; 3]);
        let conv = anatomy(&[x, weights], &[]);
        assert_eq!(cause("Conv", &conv, &right, 0), Cause::SumOverflow);
        assert_eq!(cause("Conv", &conv, &right, 2), Cause::Unexplained);
    }

    #[test]
    fn births_come_of_finite_inputs() {
        let x = tensor(&[3], &[-1.0, f32::NAN, 2.0]);
        let log = anatomy(std::slice::from_ref(&x), &[]);
        let case = NonfiniteCase { op: "l", op_type: "Log", anatomy: &log, format: Format::F32 };
        let outputs = tensor(&[3], &[f32::NAN, f32::NAN, 0.7]);
        let born = case.born(None, &outputs).unwrap();
        assert_eq!((born.nan, born.inf, born.cause), (1, 0, Cause::NegativeDomain));
        assert_eq!(case.born(Some(&outputs), &outputs), None);
        // If the operator is unknown, all its inputs are examined.
        let case = NonfiniteCase { op_type: "Unheard", ..case };
        assert_eq!(case.born(None, &outputs), None);
    }

    #[test]
    fn what_a_target_lost_is_counted() {
        let nan = tensor(&[4], &[f32::NAN, f32::INFINITY, f32::NAN, 1.0]);
        let words = |found: &[f32]| lost(&nan, &tensor(&[4], found)).map(|lost| lost.words());
        assert_eq!(words(&[f32::NAN, f32::INFINITY, f32::NAN, 1.0]), None);
        assert_eq!(
            words(&[0.0, f32::INFINITY, 0.0, 1.0]).unwrap(),
            "2 elements are numbers where the reference, on the same inputs, has NaN"
        );
        assert_eq!(
            words(&[f32::NAN, f32::NEG_INFINITY, f32::NAN, 1.0]).unwrap(),
            "1 element is NaN or infinite on both sides, and not alike"
        );
    }
}
