//! Scaled dot-product attention of the default operator set.
//!
//! If all keys of a query are masked, the result is zeros, as the errata of the standard say.

use super::call::Kernel;
use super::call::Reals;
use super::layout::{broadcast, broadcast_strides, count, flag, float, floats, int, only_reals};
use super::{Call, Refused};
use crate::tensor::Tensor;

/// The kernels of this file.
pub(super) const ATTENTION: &[(&str, Kernel)] = &[("Attention", attention)];

/// The first operator set with this operator. In an older set, the operator belongs to a different domain.
const FIRST: i64 = 23;

/// The attributes that this kernel knows.
const KNOWN: [&str; 7] = [
    "is_causal",
    "kv_num_heads",
    "q_num_heads",
    "qk_matmul_output_mode",
    "scale",
    "softcap",
    "softmax_precision",
];

/// A query, key or value tensor, seen as a sequence of vectors for each head.
#[derive(Debug)]
struct Heads {
    values: Vec<f64>,
    batch: usize,
    heads: usize,
    length: usize,
    size: usize,
    /// Whether the sequence comes before the heads, as in tensors of three axes.
    merged: bool,
}

impl Heads {
    fn of(call: &Call<'_>, place: usize, name: &str) -> Result<Self, Refused> {
        let Reals { shape, values } = floats(call, place)?;
        let named = int(call, name, 0)?;
        match shape[..] {
            [batch, heads, length, size] if named == 0 => {
                Ok(Heads { values, batch, heads, length, size, merged: false })
            }
            [batch, length, hidden] => {
                let heads = usize::try_from(named).map_err(|error| error.to_string())?;
                if heads == 0 || !hidden.is_multiple_of(heads) {
                    return Err(format!("{hidden} elements do not make {named} heads"));
                }
                Ok(Heads { values, batch, heads, length, size: hidden / heads, merged: true })
            }
            _ => Err(format!("an input of shape {shape:?} with {name} {named}")),
        }
    }

    /// The vector of one element of a sequence.
    fn vector(&self, batch: usize, head: usize, at: usize) -> &[f64] {
        &self.values[self.first(batch, head, at)..][..self.size]
    }

    fn first(&self, batch: usize, head: usize, at: usize) -> usize {
        let row = if self.merged {
            (batch * self.length + at) * self.heads + head
        } else {
            (batch * self.heads + head) * self.length + at
        };
        row * self.size
    }

    fn shape(&self) -> Vec<usize> {
        if self.merged {
            vec![self.batch, self.length, self.heads * self.size]
        } else {
            vec![self.batch, self.heads, self.length, self.size]
        }
    }
}

/// The terms added to the scores.
struct Bias {
    mask: Option<(Vec<f64>, Vec<usize>)>,
    causal: bool,
}

impl Bias {
    /// Reads the mask, which must broadcast to the scores.
    fn of(call: &Call<'_>, scores: [usize; 4]) -> Result<Self, Refused> {
        let causal = flag(call, "is_causal", false)?;
        let Some(tensor) = call.input(3) else {
            return Ok(Bias { mask: None, causal });
        };
        let shape = tensor.shape();
        // A shorter last axis is masked in newer operator sets and broadcast in older ones.
        let whole = shape.last() == Some(&scores[3]) && shape.len() <= 4;
        if !whole || broadcast(shape, &scores)? != scores {
            return Err(format!("a mask of shape {shape:?} does not fit {scores:?}"));
        }
        let values = match tensor {
            Tensor::Bool(allowed) => {
                let bias = |&allowed: &bool| if allowed { 0.0 } else { f64::NEG_INFINITY };
                allowed.iter().map(bias).collect()
            }
            _ => floats(call, 3)?.values,
        };
        Ok(Bias { mask: Some((values, broadcast_strides(shape, &scores))), causal })
    }

    fn at(&self, place: [usize; 4]) -> f64 {
        if self.causal && place[3] > place[2] {
            return f64::NEG_INFINITY;
        }
        self.mask.as_ref().map_or(0.0, |(values, steps)| {
            values[place.iter().zip(steps).map(|(at, step)| at * step).sum::<usize>()]
        })
    }
}

/// Refuses forms that this kernel does not know.
fn check(call: &Call<'_>) -> Result<(), Refused> {
    if call.opset < FIRST {
        return Err(format!("operator set {} has no Attention", call.opset));
    }
    if let Some(name) = call.attributes.keys().find(|name| !KNOWN.contains(&name.as_str())) {
        return Err(format!("attribute {name}"));
    }
    if call.outputs > 1 || (4..call.inputs.len()).any(|place| call.input(place).is_some()) {
        return Err("a cache of keys, or a second output".to_owned());
    }
    match int(call, "softmax_precision", 1)? {
        1 | 10 | 11 | 16 => Ok(()),
        other => Err(format!("softmax_precision {other}")),
    }
}

/// The scale of the scores and their softcap.
fn factors(call: &Call<'_>, size: usize) -> Result<(f64, f64), Refused> {
    let scale = float(call, "scale", 1.0 / (size as f64).sqrt())?;
    let cap = float(call, "softcap", 0.0)?;
    // The standard takes the root of the scale.
    if !(scale > 0.0 && scale.is_finite() && cap >= 0.0 && cap.is_finite()) {
        return Err(format!("a scale of {scale} and a softcap of {cap}"));
    }
    Ok((scale, cap))
}

/// Refuses queries, keys and values that do not fit together.
fn fit(query: &Heads, key: &Heads, value: &Heads) -> Result<(), Refused> {
    let alike = key.batch == query.batch
        && value.batch == query.batch
        && key.size == query.size
        && value.length == key.length
        && value.heads == key.heads
        && key.merged == query.merged
        && value.merged == query.merged;
    if !alike || key.heads == 0 || !query.heads.is_multiple_of(key.heads) {
        return Err("queries, keys and values do not fit".to_owned());
    }
    if key.length == 0 || query.size == 0 {
        return Err("keys without elements".to_owned());
    }
    Ok(())
}

fn attention(call: &Call<'_>) -> Result<Vec<Tensor>, Refused> {
    check(call)?;
    let query = Heads::of(call, 0, "q_num_heads")?;
    let key = Heads::of(call, 1, "kv_num_heads")?;
    let value = Heads::of(call, 2, "kv_num_heads")?;
    fit(&query, &key, &value)?;
    let (scale, cap) = factors(call, query.size)?;
    let bias = Bias::of(call, [query.batch, query.heads, query.length, key.length])?;
    let (batch, heads, length, merged) = (query.batch, query.heads, query.length, query.merged);
    let mut result = Heads { values: Vec::new(), batch, heads, length, size: value.size, merged };
    let shape = result.shape();
    result.values = vec![0.0; count(&shape)?];
    for row in 0..if value.size == 0 { 0 } else { batch * heads * length } {
        let (batch, head, at) = (row / length / heads, row / length % heads, row % length);
        // Queries of neighbouring heads share a head of keys.
        let shared = head / (heads / key.heads);
        let from = query.vector(batch, head, at);
        let scores = (0..key.length).map(|other| {
            let score = scale * dot(from, key.vector(batch, shared, other));
            (capped(score, cap), bias.at([batch, head, at, other]))
        });
        let first = result.first(batch, head, at);
        let sums = &mut result.values[first..][..value.size];
        for (other, weight) in weights(scores.collect()).into_iter().enumerate() {
            let from = value.vector(batch, shared, other);
            sums.iter_mut().zip(from).for_each(|(sum, value)| *sum += weight * value);
        }
    }
    only_reals(&shape, result.values)
}

fn dot(left: &[f64], right: &[f64]) -> f64 {
    left.iter().zip(right).map(|(left, right)| left * right).sum()
}

fn capped(score: f64, cap: f64) -> f64 {
    if cap > 0.0 { (score / cap).tanh() * cap } else { score }
}

/// The weights of all values; empty if every key is masked.
fn weights(scores: Vec<(f64, f64)>) -> Vec<f64> {
    if scores.iter().all(|&(_, bias)| bias == f64::NEG_INFINITY) {
        return Vec::new();
    }
    let scores = scores.into_iter().map(|(score, bias)| score + bias);
    let scores: Vec<f64> = scores.collect();
    let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let powers: Vec<f64> = scores.iter().map(|score| (score - largest).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.into_iter().map(|power| power / sum).collect()
}

#[cfg(test)]
mod tests {
    use super::super::layout::typed;
    use super::*;
    use crate::graph::Attribute;
    use std::collections::BTreeMap;

    fn tensor(shape: &[usize], values: &[f32]) -> Option<Tensor> {
        Some(Tensor::from_f32(shape, values.to_vec()).unwrap())
    }

    fn run(
        attributes: &[(&str, Attribute)],
        inputs: &[Option<Tensor>],
    ) -> Result<Vec<f64>, Refused> {
        let attributes: BTreeMap<String, Attribute> =
            attributes.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let op_type = "Attention";
        let call = Call { op_type, opset: 23, attributes: &attributes, inputs, outputs: 1 };
        attention(&call).map(|outputs| outputs[0].numbers(1))
    }

    /// Two queries that score 0 and ln 3 with the two keys.
    fn pair(mask: Option<Tensor>) -> [Option<Tensor>; 4] {
        let three = 3f32.ln();
        [
            tensor(&[1, 1, 2, 1], &[1.0, 1.0]),
            tensor(&[1, 1, 2, 1], &[0.0, three]),
            tensor(&[1, 1, 2, 1], &[4.0, 8.0]),
            mask,
        ]
    }

    fn near(left: &[f64], right: &[f64]) -> bool {
        left.len() == right.len() && left.iter().zip(right).all(|(a, b)| (a - b).abs() < 1e-6)
    }

    #[test]
    fn weights_are_a_softmax() {
        assert!(near(&run(&[], &pair(None)).unwrap(), &[7.0, 7.0]));
        let scaled = [("scale", Attribute::Float(2.0))];
        assert!(near(&run(&scaled, &pair(None)).unwrap(), &[7.6, 7.6]));
        let causal = [("is_causal", Attribute::Int(1))];
        assert!(near(&run(&causal, &pair(None)).unwrap(), &[4.0, 7.0]));
    }

    #[test]
    fn masks_forbid_or_add() {
        let allowed = typed(&[2, 2], vec![false, false, true, false]).unwrap();
        let result = run(&[], &pair(Some(Tensor::Bool(allowed)))).unwrap();
        assert!(near(&result, &[0.0, 4.0]), "{result:?}");
        let added = tensor(&[1, 2], &[3f32.ln(), 0.0]);
        assert!(near(&run(&[], &pair(added)).unwrap(), &[6.0, 6.0]));
        assert!(run(&[], &pair(tensor(&[3], &[0.0; 3]))).is_err());
    }

    #[test]
    fn heads_share_keys() {
        let inputs = [
            tensor(&[1, 1, 2], &[1.0, -1.0]),
            tensor(&[1, 2, 1], &[0.0, 3f32.ln()]),
            tensor(&[1, 2, 1], &[4.0, 8.0]),
        ];
        let heads = [("q_num_heads", Attribute::Int(2)), ("kv_num_heads", Attribute::Int(1))];
        assert!(near(&run(&heads, &inputs).unwrap(), &[7.0, 5.0]));
        assert!(run(&heads[..1], &inputs).is_err());
        let odd = [("q_num_heads", Attribute::Int(-2)), ("kv_num_heads", Attribute::Int(1))];
        assert!(run(&odd, &inputs).is_err());
    }

    #[test]
    fn other_forms_are_refused() {
        assert!(run(&[("num_heads", Attribute::Int(1))], &pair(None)).is_err());
        assert!(run(&[("scale", Attribute::Float(-1.0))], &pair(None)).is_err());
        let mut inputs = pair(None).to_vec();
        inputs.push(inputs[0].clone());
        assert!(run(&[], &inputs).is_err());
        let empty = [tensor(&[1, 1, 2, 1], &[1.0, 1.0]), tensor(&[1, 1, 0, 1], &[])];
        assert!(run(&[], &[empty[0].clone(), empty[1].clone(), empty[1].clone()]).is_err());
    }
}
