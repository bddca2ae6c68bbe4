//! Operators that change the order of a tensor's elements, or the shape.
//!
//! An element keeps its type and its bits. Each kernel lists the flat source position of every
//! element of the result, and [`pick`] copies the elements from there.

use super::call::Kernel;
use super::layout::{
    advance, axis_in, broadcast, broadcast_strides, count, extent, flag, flat, int, ints, join,
    longs_needed, longs_or_ints, only, pick, reshaped, strides, text,
};
use super::{Call, Refused};
use crate::tensor::Tensor;

/// The kernels of this file.
pub(super) const MOVEMENT: &[(&str, Kernel)] = &[
    ("Transpose", transpose),
    ("Reshape", reshape),
    ("Flatten", flatten),
    ("Squeeze", squeeze),
    ("Unsqueeze", unsqueeze),
    ("Concat", concat),
    ("Expand", expand),
    ("Tile", tile),
    ("DepthToSpace", depth_to_space),
    ("SpaceToDepth", space_to_depth),
];

/// Lists the flat positions that an output of a shape reads with these steps along its axes.
pub(super) fn places(shape: &[usize], steps: &[usize]) -> Result<Vec<usize>, Refused> {
    let elements = count(shape)?;
    let mut index = vec![0; shape.len()];
    let mut places = Vec::with_capacity(elements);
    for _ in 0..elements {
        places.push(flat(&index, steps));
        advance(&mut index, shape);
    }
    Ok(places)
}

/// The tensor with its axes in a different order.
fn permuted(tensor: &Tensor, order: &[usize]) -> Result<Tensor, Refused> {
    let own = strides(tensor.shape());
    let shape: Vec<usize> = order.iter().map(|&axis| tensor.shape()[axis]).collect();
    let steps: Vec<usize> = order.iter().map(|&axis| own[axis]).collect();
    pick(tensor, &shape, &places(&shape, &steps)?)
}

/// Axes counted from the front. No axis may occur twice.
fn distinct(axes: &[i64], rank: usize) -> Result<Vec<usize>, Refused> {
    let mut seen = vec![false; rank];
    let mut counted = Vec::with_capacity(axes.len());
    for &axis in axes {
        let axis = axis_in(axis, rank)?;
        if std::mem::replace(&mut seen[axis], true) {
            return Err(format!("axis {axis} comes twice"));
        }
        counted.push(axis);
    }
    Ok(counted)
}

fn transpose(call: &Call<'_>) -> Result<Vec<Tensor>, Refused> {
    let tensor = call.needed(0)?;
    let rank = tensor.shape().len();
    let order = match ints(call, "perm")? {
        Some(order) if order.len() != rank || order.iter().any(|&axis| axis < 0) => {
            return Err(format!("perm {order:?} does not order {rank} axes"));
        }
        Some(order) => distinct(order, rank)?,
        None => (0..rank).rev().collect(),
    };
    only(permuted(tensor, &order)?)
}

fn reshape(call: &Call<'_>) -> Result<Vec<Tensor>, Refused> {
    let tensor = call.needed(0)?;
    let asked = longs_or_ints(call, 1, "shape")?.ok_or("the shape is missing")?;
    let zeros = flag(call, "allowzero", false)?;
    let (mut shape, mut open) = (Vec::with_capacity(asked.len()), None);
    for (axis, &dim) in asked.iter().enumerate() {
        shape.push(match dim {
            -1 if open.is_none() => {
                open = Some(axis);
                1
            }
            0 if !zeros => {
                *tensor.shape().get(axis).ok_or("a 0 copies an axis that is not there")?
            }
            other => extent(other)?,
        });
    }
    if let Some(axis) = open {
        let rest = count(&shape)?;
        if rest == 0 || !tensor.len().is_multiple_of(rest) {
            return Err(format!("{} elements do not fit the shape {asked:?}", tensor.len()));
        }
        shape[axis] = tensor.len() / rest;
    }
    only(reshaped(tensor, &shape)?)
}

fn flatten(call: &Call<'_>) -> Result<Vec<Tensor>, Refused> {
    let tensor = call.needed(0)?;
    let shape = tensor.shape();
    let axis = match int(call, "axis", 1)? {
        // An axis equal to the rank puts all axes into the first part.
        axis if axis == shape.len() as i64 => shape.len(),
        axis => axis_in(axis, shape.len())?,
    };
    only(reshaped(tensor, &[count(&shape[..axis])?, count(&shape[axis..])?])?)
}

fn squeeze(call: &Call<'_>) -> Result<Vec<Tensor>, Refused> {
    let tensor = call.needed(0)?;
    let shape = tensor.shape();
    let axes = match longs_or_ints(call, 1, "axes")? {
        Some(axes) => distinct(&axes, shape.len())?,
        None => (0..shape.len()).filter(|&axis| shape[axis] == 1).collect(),
    };
    if let Some(axis) = axes.iter().find(|&&axis| shape[axis] != 1) {
        return Err(format!("axis {axis} has an extent of {}", shape[*axis]));
    }
    let kept = (0..shape.len()).filter(|axis| !axes.contains(axis));
    only(reshaped(tensor, &kept.map(|axis| shape[axis]).collect::<Vec<_>>())?)
}

fn unsqueeze(call: &Call<'_>) -> Result<Vec<Tensor>, Refused> {
    let tensor = call.needed(0)?;
    let axes = longs_or_ints(call, 1, "axes")?.ok_or("the axes are missing")?;
    let rank = tensor.shape().len() + axes.len();
    let axes = distinct(&axes, rank)?;
    let mut kept = tensor.shape().iter();
    let extents = (0..rank).map(|axis| if axes.contains(&axis) { None } else { kept.next() });
    only(reshaped(tensor, &extents.map(|extent| extent.copied().unwrap_or(1)).collect::<Vec<_>>())?)
}

fn concat(call: &Call<'_>) -> Result<Vec<Tensor>, Refused> {
    let tensors: Result<Vec<&Tensor>, _> =
        (0..call.inputs.len()).map(|place| call.needed(place)).collect();
    let tensors = tensors?;
    let first = tensors.first().ok_or("no tensor to concatenate")?.shape();
    // The first operator sets had a default axis.
    let asked = if call.opset < 4 { int(call, "axis", 1)? } else { need(call, "axis")? };
    let axis = axis_in(asked, first.len())?;
    let mut shape = first.to_vec();
    shape[axis] = 0;
    for tensor in &tensors {
        let mut other = tensor.shape().to_vec();
        let own = other.get(axis).copied().unwrap_or(0);
        if other.len() == shape.len() {
            other[axis] = shape[axis];
        }
        if other != shape {
            return Err(format!("shapes {first:?} and {:?} do not join", tensor.shape()));
        }
        shape[axis] += own;
    }
    let (outer, inner) = (count(&shape[..axis])?, count(&shape[axis + 1..])?);
    let mut places = Vec::with_capacity(count(&shape)?);
    for row in 0..outer {
        let mut start = 0;
        for tensor in &tensors {
            let width = tensor.shape()[axis] * inner;
            places.extend(start + row * width..start + (row + 1) * width);
            start += tensor.len();
        }
    }
    only(pick(&join(&tensors)?, &shape, &places)?)
}

/// A required attribute.
fn need(call: &Call<'_>, name: &str) -> Result<i64, Refused> {
    let value = int(call, name, i64::MIN)?;
    if value == i64::MIN { Err(format!("{name} is missing")) } else { Ok(value) }
}

fn expand(call: &Call<'_>) -> Result<Vec<Tensor>, Refused> {
    let tensor = call.needed(0)?;
    let asked = longs_needed(call, 1)?;
    let asked: Result<Vec<usize>, Refused> = asked.into_iter().map(extent).collect();
    let shape = broadcast(tensor.shape(), &asked?)?;
    only(pick(tensor, &shape, &places(&shape, &broadcast_strides(tensor.shape(), &shape))?)?)
}

fn tile(call: &Call<'_>) -> Result<Vec<Tensor>, Refused> {
    let tensor = call.needed(0)?;
    let repeats = longs_needed(call, 1)?;
    if call.opset < 6 || repeats.len() != tensor.shape().len() {
        return Err(format!("repeats {repeats:?} for a shape {:?}", tensor.shape()));
    }
    let own = strides(tensor.shape());
    let (mut shape, mut all) = (Vec::with_capacity(repeats.len()), vec![0]);
    for (axis, &repeat) in repeats.iter().enumerate() {
        let part = tensor.shape()[axis];
        shape.push(part.checked_mul(extent(repeat)?).ok_or("too many repeats")?);
    }
    count(&shape)?;
    for (axis, &whole) in shape.iter().enumerate() {
        let (part, step) = (tensor.shape()[axis], own[axis]);
        let longer = all.iter().flat_map(|&at| (0..whole).map(move |k| at + k % part * step));
        all = longer.collect();
    }
    only(pick(tensor, &shape, &all)?)
}

/// The extents of an image and the side of its blocks.
fn blocks(call: &Call<'_>) -> Result<([usize; 4], usize), Refused> {
    let side = extent(need(call, "blocksize")?)?;
    let shape = call.needed(0)?.shape();
    let extents = <[usize; 4]>::try_from(shape);
    let extents = extents.map_err(|_| format!("an image of shape {shape:?}"))?;
    if side == 0 || side > 1 << 16 {
        return Err(format!("blocks of side {side}"));
    }
    Ok((extents, side))
}

fn depth_to_space(call: &Call<'_>) -> Result<Vec<Tensor>, Refused> {
    let ([batch, channels, height, width], side) = blocks(call)?;
    if !channels.is_multiple_of(side * side) {
        return Err(format!("{channels} channels do not make blocks of side {side}"));
    }
    let depth = channels / (side * side);
    let (split, order) = match text(call, "mode", "DCR")? {
        "DCR" => ([batch, side, side, depth, height, width], [0, 3, 4, 1, 5, 2]),
        "CRD" => ([batch, depth, side, side, height, width], [0, 1, 4, 2, 5, 3]),
        other => return Err(format!("mode {other}")),
    };
    let moved = permuted(&reshaped(call.needed(0)?, &split)?, &order)?;
    only(reshaped(&moved, &[batch, depth, height * side, width * side])?)
}

fn space_to_depth(call: &Call<'_>) -> Result<Vec<Tensor>, Refused> {
    let ([batch, channels, height, width], side) = blocks(call)?;
    if !height.is_multiple_of(side) || !width.is_multiple_of(side) {
        return Err(format!("blocks of side {side} do not fill {height}x{width}"));
    }
    let split = [batch, channels, height / side, side, width / side, side];
    let order = match text(call, "mode", "DCR")? {
        "DCR" => [0, 3, 5, 1, 2, 4],
        "CRD" => [0, 1, 3, 5, 2, 4],
        other => return Err(format!("mode {other}")),
    };
    let moved = permuted(&reshaped(call.needed(0)?, &split)?, &order)?;
    let depth = channels.checked_mul(side * side).ok_or("too many channels")?;
    only(reshaped(&moved, &[batch, depth, height / side, width / side])?)
}

#[cfg(test)]
mod tests {
    use super::super::layout::{longs, typed};
    use super::*;
    use crate::graph::Attribute;
    use std::collections::BTreeMap;

    fn range(shape: &[usize]) -> Tensor {
        longs(shape, (0..shape.iter().product::<usize>() as i64).collect()).unwrap()
    }

    fn list(values: &[i64]) -> Tensor {
        longs(&[values.len()], values.to_vec()).unwrap()
    }

    fn run(
        op_type: &str,
        attributes: &[(&str, Attribute)],
        inputs: &[Tensor],
    ) -> Result<(Vec<usize>, Vec<f64>), Refused> {
        let attributes: BTreeMap<String, Attribute> =
            attributes.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let kernel = MOVEMENT.iter().find(|(name, _)| *name == op_type).unwrap().1;
        let inputs: Vec<Option<Tensor>> = inputs.iter().cloned().map(Some).collect();
        let inputs = inputs.as_slice();
        let call = Call { op_type, opset: 13, attributes: &attributes, inputs, outputs: 1 };
        kernel(&call).map(|outputs| {
            assert_eq!(outputs[0].dtype(), inputs[0].as_ref().unwrap().dtype());
            (outputs[0].shape().to_vec(), outputs[0].numbers(1))
        })
    }

    #[test]
    fn axes_change_places() {
        let result = run("Transpose", &[], &[range(&[2, 3])]).unwrap();
        assert_eq!(result, (vec![3, 2], vec![0.0, 3.0, 1.0, 4.0, 2.0, 5.0]));
        let perm = |axes: &[i64]| [("perm", Attribute::Ints(axes.to_vec()))];
        let kept = run("Transpose", &perm(&[0, 1]), &[range(&[2, 3])]).unwrap();
        assert_eq!(kept.0, [2, 3]);
        for odd in [&[0, 0][..], &[0], &[0, 2], &[0, -1]] {
            assert!(run("Transpose", &perm(odd), &[range(&[2, 3])]).is_err());
        }
    }

    #[test]
    fn bits_stay() {
        let payload = f32::from_bits(0x7fc0_1234);
        let input = Some(Tensor::F32(typed(&[1, 2], vec![payload, -0.0]).unwrap()));
        let attributes = BTreeMap::new();
        let inputs = [input];
        let op_type = "Transpose";
        let call =
            Call { op_type, opset: 13, attributes: &attributes, inputs: &inputs, outputs: 1 };
        let outputs = transpose(&call).unwrap();
        assert_eq!(outputs[0].to_bytes(), inputs[0].as_ref().unwrap().to_bytes());
    }

    #[test]
    fn shapes_are_filled_in() {
        let shape = |asked: &[i64]| run("Reshape", &[], &[range(&[2, 3]), list(asked)]);
        assert_eq!(shape(&[3, -1]).unwrap().0, [3, 2]);
        assert_eq!(shape(&[0, 3, 1]).unwrap().0, [2, 3, 1]);
        for odd in [&[-1, -1][..], &[4, -1], &[-2, 3], &[i64::MAX, 2], &[1, 1, 0], &[5]] {
            assert!(shape(odd).is_err(), "{odd:?}");
        }
        let zeros = [("allowzero", Attribute::Int(1))];
        let empty = run("Reshape", &zeros, &[range(&[0, 3]), list(&[3, 0])]).unwrap();
        assert_eq!(empty.0, [3, 0]);
        assert_eq!(run("Flatten", &[], &[range(&[2, 3, 2])]).unwrap().0, [2, 6]);
        let last = [("axis", Attribute::Int(3))];
        assert_eq!(run("Flatten", &last, &[range(&[2, 3, 2])]).unwrap().0, [12, 1]);
    }

    #[test]
    fn axes_of_one_come_and_go() {
        assert_eq!(run("Squeeze", &[], &[range(&[1, 2, 1])]).unwrap().0, [2]);
        assert_eq!(run("Squeeze", &[], &[range(&[1, 2, 1]), list(&[-1])]).unwrap().0, [1, 2]);
        assert!(run("Squeeze", &[], &[range(&[1, 2, 1]), list(&[1])]).is_err());
        assert_eq!(run("Unsqueeze", &[], &[range(&[2]), list(&[-1, 0])]).unwrap().0, [1, 2, 1]);
        assert!(run("Unsqueeze", &[], &[range(&[2]), list(&[0, 0])]).is_err());
        assert!(run("Unsqueeze", &[], &[range(&[2]), list(&[5])]).is_err());
    }

    #[test]
    fn tensors_join_and_repeat() {
        let last = [("axis", Attribute::Int(-1))];
        let result = run("Concat", &last, &[range(&[2, 1]), range(&[2, 2])]).unwrap();
        assert_eq!(result, (vec![2, 3], vec![0.0, 0.0, 1.0, 1.0, 2.0, 3.0]));
        assert!(run("Concat", &last, &[range(&[2, 1]), range(&[3, 2])]).is_err());
        assert!(run("Concat", &last, &[range(&[]), range(&[])]).is_err());
        let tiled = run("Tile", &[], &[range(&[1, 2]), list(&[2, 2])]).unwrap();
        assert_eq!(tiled, (vec![2, 4], vec![0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0]));
        assert!(run("Tile", &[], &[range(&[1, 2]), list(&[1 << 30, 1 << 30])]).is_err());
        let wide = run("Expand", &[], &[range(&[2, 1]), list(&[1, 2, 2])]).unwrap();
        assert_eq!(wide, (vec![1, 2, 2], vec![0.0, 0.0, 1.0, 1.0]));
        assert!(run("Expand", &[], &[range(&[2, 1]), list(&[1 << 40])]).is_err());
    }

    #[test]
    fn depth_becomes_space() {
        let two = ("blocksize", Attribute::Int(2));
        let image = range(&[1, 8, 1, 1]);
        let result =
            run("DepthToSpace", std::slice::from_ref(&two), std::slice::from_ref(&image)).unwrap();
        assert_eq!(result, (vec![1, 2, 2, 2], vec![0.0, 2.0, 4.0, 6.0, 1.0, 3.0, 5.0, 7.0]));
        let crd = [two.clone(), ("mode", Attribute::Text("CRD".to_owned()))];
        let result = run("DepthToSpace", &crd, std::slice::from_ref(&image)).unwrap();
        assert_eq!(result.1, (0..8).map(f64::from).collect::<Vec<_>>());
        let back =
            run("SpaceToDepth", std::slice::from_ref(&two), &[range(&[1, 1, 2, 2])]).unwrap();
        assert_eq!(back, (vec![1, 4, 1, 1], vec![0.0, 1.0, 2.0, 3.0]));
        assert!(run("SpaceToDepth", &[two], &[image]).is_err());
        assert!(run("DepthToSpace", &[], &[range(&[1, 4, 1, 1])]).is_err());
    }
}
