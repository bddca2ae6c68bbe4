//! Operators that put elements into a tensor by indices.
//!
//! Without a reduction, an element keeps its type and its bits. The standard then forbids two
//! updates of one element. This kernel refuses them, because engines disagree on the update that
//! stays. A reduction is computed in `f64` and supports floating-point elements only.

use super::call::Kernel;
use super::gather::{element_places, tuple_places};
use super::layout::{
    axis_in, count, floats, int, join, longs_needed, only, only_reals, pick, text,
};
use super::{Call, Refused};
use crate::tensor::Tensor;

/// The kernels of this file.
pub(super) const SCATTER: &[(&str, Kernel)] = &[
    ("Scatter", scatter_elements),
    ("ScatterElements", scatter_elements),
    ("ScatterND", scatter_nd),
];

fn scatter_elements(call: &Call<'_>) -> Result<Vec<Tensor>, Refused> {
    let (tensor, indices) = (call.needed(0)?, longs_needed(call, 1)?);
    let axis = axis_in(int(call, "axis", 0)?, tensor.shape().len())?;
    let over = call.needed(1)?.shape();
    if call.needed(2)?.shape() != over {
        return Err(format!("updates differ in shape from the indices {over:?}"));
    }
    update(call, &element_places(tensor.shape(), &indices, over, axis)?)
}

fn scatter_nd(call: &Call<'_>) -> Result<Vec<Tensor>, Refused> {
    let (tensor, indices) = (call.needed(0)?, longs_needed(call, 1)?);
    let over = call.needed(1)?.shape();
    let (starts, rest) = tuple_places(tensor.shape(), &indices, over, 0)?;
    let mut shape = over[..over.len() - 1].to_vec();
    shape.extend(&rest);
    if call.needed(2)?.shape() != shape {
        return Err(format!("updates differ in shape from {shape:?}"));
    }
    let mut places = Vec::with_capacity(count(&shape)?);
    let block = count(&rest)?;
    places.extend(starts.into_iter().flat_map(|start| start..start + block));
    update(call, &places)
}

/// Puts the updates at these flat positions.
fn update(call: &Call<'_>, places: &[usize]) -> Result<Vec<Tensor>, Refused> {
    let reduction = text(call, "reduction", "none")?;
    let (tensor, updates) = (call.needed(0)?, call.needed(2)?);
    if reduction != "none" {
        return reduce(call, places, reduction);
    }
    let length = tensor.len();
    let mut from: Vec<usize> = (0..length).collect();
    for (update, &place) in places.iter().enumerate() {
        if from[place] >= length {
            return Err("two updates of one element".to_owned());
        }
        from[place] = length + update;
    }
    only(pick(&join(&[tensor, updates])?, tensor.shape(), &from)?)
}

fn reduce(call: &Call<'_>, places: &[usize], reduction: &str) -> Result<Vec<Tensor>, Refused> {
    let (mut data, updates) = (floats(call, 0)?, floats(call, 2)?);
    let merge: fn(f64, f64) -> f64 = match reduction {
        "add" => |old, new| old + new,
        "mul" => |old, new| old * new,
        "max" => |old, new| if old.is_nan() || old > new { old } else { new },
        "min" => |old, new| if old.is_nan() || old < new { old } else { new },
        other => return Err(format!("reduction {other}")),
    };
    for (&place, &new) in places.iter().zip(&updates.values) {
        data.values[place] = merge(data.values[place], new);
    }
    only_reals(&data.shape, data.values)
}

#[cfg(test)]
mod tests {
    use super::super::layout::longs;
    use super::*;
    use crate::graph::Attribute;
    use std::collections::BTreeMap;

    fn tensor(shape: &[usize], values: &[i64]) -> Tensor {
        longs(shape, values.to_vec()).unwrap()
    }

    fn reals(values: &[f32]) -> Tensor {
        Tensor::from_f32(&[values.len()], values.to_vec()).unwrap()
    }

    fn run(op_type: &str, reduction: &str, inputs: [Tensor; 3]) -> Result<Vec<f64>, Refused> {
        let reduction = Attribute::Text(reduction.to_owned());
        let attributes = BTreeMap::from([("reduction".to_owned(), reduction)]);
        let kernel = SCATTER.iter().find(|(name, _)| *name == op_type).unwrap().1;
        let inputs = inputs.map(Some);
        let inputs = inputs.as_slice();
        let call = Call { op_type, opset: 18, attributes: &attributes, inputs, outputs: 1 };
        kernel(&call).map(|outputs| outputs[0].numbers(1))
    }

    #[test]
    fn elements_are_replaced() {
        let inputs = [tensor(&[3], &[1, 2, 3]), tensor(&[2], &[-1, 0]), tensor(&[2], &[7, 8])];
        assert_eq!(run("ScatterElements", "none", inputs).unwrap(), [8.0, 2.0, 7.0]);
        let inputs = [tensor(&[3], &[1, 2, 3]), tensor(&[2], &[0, -3]), tensor(&[2], &[7, 8])];
        assert!(run("ScatterElements", "none", inputs).is_err());
    }

    #[test]
    fn blocks_are_replaced() {
        let data = || tensor(&[2, 2], &[1, 2, 3, 4]);
        let inputs = [data(), tensor(&[1, 1], &[1]), tensor(&[1, 2], &[7, 8])];
        assert_eq!(run("ScatterND", "none", inputs).unwrap(), [1.0, 2.0, 7.0, 8.0]);
        let inputs = [data(), tensor(&[1, 1], &[1]), tensor(&[2], &[7, 8])];
        assert!(run("ScatterND", "none", inputs).is_err());
    }

    #[test]
    fn reductions_take_every_update() {
        let inputs = || [reals(&[1.0, 2.0]), tensor(&[2], &[1, 1]), reals(&[3.0, 5.0])];
        for (reduction, value) in [("add", 10.0), ("mul", 30.0), ("max", 5.0), ("min", 2.0)] {
            assert_eq!(run("ScatterElements", reduction, inputs()).unwrap(), [1.0, value]);
        }
        assert!(run("ScatterElements", "mean", inputs()).is_err());
        let whole = [tensor(&[1], &[1]), tensor(&[1], &[0]), tensor(&[1], &[1])];
        assert!(run("ScatterElements", "add", whole).is_err());
    }
}
