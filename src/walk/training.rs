//! Layers that a framework left in training mode: they compute something else than the exported network.

use crate::compare::Pattern;
use crate::graph::Attribute;
use crate::tensor::Tensor;
use std::collections::BTreeMap;

/// The operators that compute something else in training mode.
pub(super) const TRAINED: [&str; 2] = ["BatchNormalization", "Dropout"];

/// The relative L2 error up to which two values of a normalization are the same: it is an f32 sum over a batch.
const SAME: f64 = 1e-4;
/// ONNX's default for the attribute `epsilon` of BatchNormalization.
const EPSILON: f64 = 1e-5;
/// Elements of an output over the same elements of the input differ by no more than this from one factor.
const ONE_FACTOR: f64 = 1e-3;

/// The training mode of a node, if its output shows it: a normalization by the batch's own mean and variance, or a
/// Dropout that drops.
pub(super) fn training_mode(
    op_type: &str,
    attributes: &BTreeMap<String, Attribute>,
    inputs: &[Option<Tensor>],
    output: &Tensor,
) -> Option<Pattern> {
    let words = match op_type {
        "BatchNormalization" => {
            let epsilon = match attributes.get("epsilon") {
                Some(Attribute::Float(epsilon)) => f64::from(*epsilon),
                _ => EPSILON,
            };
            let [x, scale, bias] = [0, 1, 2].map(|at| inputs.get(at)?.as_ref());
            let right = by_batch(x?, scale?, bias?, epsilon)?;
            is_same(&right, &output.numbers(1)).then_some("the mean and the variance of the batch")
        }
        "Dropout" => {
            let x = inputs.first()?.as_ref()?;
            drops(&x.numbers(1), &output.numbers(1)).then_some("a Dropout that drops elements")
        }
        _ => None,
    }?;
    Some(Pattern {
        name: "training mode".into(),
        words: format!("{words}, as in training mode"),
        disproof: "call `model.eval()` before the export and the dump: the difference is gone then"
            .into(),
    })
}

/// BatchNormalization over the channels of axis 1, by the batch's own mean and variance.
fn by_batch(x: &Tensor, scale: &Tensor, bias: &Tensor, epsilon: f64) -> Option<Vec<f64>> {
    let (&batch, &channels) = (x.shape().first()?, x.shape().get(1)?);
    let (numbers, scale, bias) = (x.numbers(1), scale.numbers(1), bias.numbers(1));
    let plane = x.shape()[2..].iter().product::<usize>();
    if scale.len() != channels || bias.len() != channels || numbers.is_empty() {
        return None;
    }
    let channel = |at: usize| at / plane % channels;
    let count = (batch * plane) as f64;
    let mut sums = vec![0.0; channels];
    numbers.iter().enumerate().for_each(|(at, number)| sums[channel(at)] += number);
    let means: Vec<f64> = sums.into_iter().map(|sum| sum / count).collect();
    let mut squares = vec![0.0; channels];
    let apart = |at: usize, number: f64| number - means[channel(at)];
    numbers.iter().enumerate().for_each(|(at, n)| squares[channel(at)] += apart(at, *n).powi(2));
    let one = |(at, number): (usize, &f64)| {
        let channel = channel(at);
        let deviation = (squares[channel] / count + epsilon).sqrt();
        apart(at, *number) / deviation * scale[channel] + bias[channel]
    };
    Some(numbers.iter().enumerate().map(one).collect())
}

fn is_same(right: &[f64], found: &[f64]) -> bool {
    let square =
        |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>();
    let apart = square(&mut right.iter().zip(found).map(|(right, found)| right - found));
    right.len() == found.len() && apart.sqrt() <= SAME * square(&mut right.iter().copied()).sqrt()
}

/// Whether some elements are 0 and all others are the input's, times one factor above 1.
fn drops(x: &[f64], output: &[f64]) -> bool {
    let pairs = x.iter().zip(output).filter(|(x, _)| **x != 0.0);
    let (dropped, kept): (Vec<_>, Vec<_>) = pairs.partition(|(_, output)| **output == 0.0);
    let factors = kept.iter().map(|(x, output)| **output / **x);
    let (low, high) = factors.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), factor| {
        (low.min(factor), high.max(factor))
    });
    !dropped.is_empty() && low > 1.0 && high - low <= ONE_FACTOR * high
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(shape: &[usize], values: Vec<f32>) -> Tensor {
        Tensor::from_f32(shape, values).unwrap()
    }

    #[test]
    fn a_normalization_by_the_batch_is_seen() {
        let x: Vec<f32> = (0..24).map(|at| ((at * 7) % 11) as f32 - 3.0).collect();
        let inputs = [
            Some(tensor(&[2, 3, 4], x)),
            Some(tensor(&[3], vec![1.0, 2.0, 0.5])),
            Some(tensor(&[3], vec![0.0, -1.0, 3.0])),
        ];
        let [x, scale, bias] = [0, 1, 2].map(|at| inputs[at].as_ref().unwrap());
        let right = by_batch(x, scale, bias, EPSILON).unwrap();
        let mean = right[4..8].iter().chain(&right[16..20]).sum::<f64>() / 8.0;
        assert!((mean + 1.0).abs() < 1e-9, "{mean}");
        let output = tensor(&[2, 3, 4], right.iter().map(|number| *number as f32).collect());
        let found = training_mode("BatchNormalization", &BTreeMap::new(), &inputs, &output);
        assert!(found.unwrap().disproof.contains("model.eval()"));
        let other = tensor(&[2, 3, 4], vec![0.5; 24]);
        assert!(training_mode("BatchNormalization", &BTreeMap::new(), &inputs, &other).is_none());
    }

    #[test]
    fn a_dropout_that_drops_is_seen() {
        let inputs = [Some(tensor(&[4], vec![1.0, -2.0, 3.0, 4.0]))];
        let look =
            |values| training_mode("Dropout", &BTreeMap::new(), &inputs, &tensor(&[4], values));
        assert!(look(vec![2.0, 0.0, 6.0, 8.0]).is_some());
        assert!(look(vec![1.0, -2.0, 3.0, 4.0]).is_none());
        assert!(look(vec![2.0, 0.0, 6.0, 5.0]).is_none());
    }
}
