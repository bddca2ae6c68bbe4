//! Operators that make tensors: constants, ranges, shapes, and tensors of ones and zeros.

use super::call::Kernel;
use super::cast;
use super::layout::{
    axis_in, count, extent, int, join, longs, longs_needed, only, only_reals, pick, reshaped,
    strides, typed,
};
use super::{Call, Refused};
use crate::graph::Attribute;
use crate::tensor::{Dtype, Tensor, multi_index};
use half::{bf16, f16};

/// The kernels of this file.
pub(super) const CONSTANT: &[(&str, Kernel)] = &[
    ("Constant", constant),
    ("ConstantOfShape", constant_of_shape),
    ("Range", range),
    ("Shape", shape),
    ("Size", size),
    ("NonZero", non_zero),
    ("EyeLike", eye_like),
    ("OneHot", one_hot),
];

fn constant(call: &Call<'_>) -> Result<Vec<Tensor>, Refused> {
    let mut attributes = call.attributes.iter();
    let (Some((name, value)), None) = (attributes.next(), attributes.next()) else {
        return Err(format!("{} attributes, not one value", call.attributes.len()));
    };
    only(match (name.as_str(), value) {
        ("value", Attribute::Tensor(tensor)) => tensor.clone(),
        ("value_float", Attribute::Float(value)) => Tensor::F32(typed(&[], vec![*value])?),
        ("value_floats", Attribute::Floats(values)) => {
            Tensor::F32(typed(&[values.len()], values.clone())?)
        }
        ("value_int", Attribute::Int(value)) => longs(&[], vec![*value])?,
        ("value_ints", Attribute::Ints(values)) => longs(&[values.len()], values.clone())?,
        (name, _) => return Err(format!("attribute {name}")),
    })
}

fn constant_of_shape(call: &Call<'_>) -> Result<Vec<Tensor>, Refused> {
    let asked = longs_needed(call, 0)?;
    let shape = asked.into_iter().map(extent).collect::<Result<Vec<_>, _>>()?;
    let value = match call.attributes.get("value") {
        None => Tensor::F32(typed(&[1], vec![0.0])?),
        Some(Attribute::Tensor(tensor)) => reshaped(tensor, &[1])?,
        Some(_) => return Err("attribute value has a different kind".to_owned()),
    };
    only(pick(&value, &shape, &vec![0; count(&shape)?])?)
}

fn range(call: &Call<'_>) -> Result<Vec<Tensor>, Refused> {
    let ends = [call.needed(0)?, call.needed(1)?, call.needed(2)?];
    let dtype = ends[0].dtype();
    if ends.iter().any(|end| end.len() != 1 || end.dtype() != dtype) {
        return Err("the ends of a range are not single numbers of one type".to_owned());
    }
    if dtype.is_float() {
        let [start, limit, delta] = ends.map(|end| end.numbers(1)[0]);
        let steps = ((limit - start) / delta).ceil();
        if delta == 0.0 || !(steps < 1e9) {
            return Err(format!("a range from {start} to {limit} by {delta}"));
        }
        let elements = count(&[steps as usize])?;
        let values = (0..elements).map(|at| start + at as f64 * delta);
        return only_reals(&[elements], values.collect());
    }
    let values =
        whole_range([longs_needed(call, 0)?, longs_needed(call, 1)?, longs_needed(call, 2)?])?;
    let shape = [values.len()];
    only(match dtype {
        Dtype::I64 => longs(&shape, values)?,
        Dtype::I32 => Tensor::I32(typed(&shape, values.iter().map(|&at| at as i32).collect())?),
        Dtype::I16 => Tensor::I16(typed(&shape, values.iter().map(|&at| at as i16).collect())?),
        other => return Err(format!("a range of {other}")),
    })
}

/// The whole numbers of a range. Each is between the ends of the range and so fits their type.
fn whole_range(ends: [Vec<i64>; 3]) -> Result<Vec<i64>, Refused> {
    let [start, limit, delta] = ends.map(|end| i128::from(end[0]));
    if delta == 0 {
        return Err("a range by 0".to_owned());
    }
    let past = limit - start;
    let steps =
        if (past > 0) == (delta > 0) { (past.abs() + delta.abs() - 1) / delta.abs() } else { 0 };
    let steps = usize::try_from(steps).map_err(|error| error.to_string())?;
    let at = |step: usize| i64::try_from(start + step as i128 * delta).ok();
    let values: Option<Vec<i64>> = (0..count(&[steps])?).map(at).collect();
    values.ok_or_else(|| "a range beyond its type".to_owned())
}

fn shape(call: &Call<'_>) -> Result<Vec<Tensor>, Refused> {
    let shape = call.needed(0)?.shape();
    let rank = shape.len() as i64;
    let bound =
        |at: i64| (if at < 0 { at.saturating_add(rank) } else { at }).clamp(0, rank) as usize;
    let (start, end) = (bound(int(call, "start", 0)?), bound(int(call, "end", rank)?));
    let extents = shape.get(start..end).unwrap_or(&[]);
    only(longs(&[extents.len()], extents.iter().map(|&extent| extent as i64).collect())?)
}

fn size(call: &Call<'_>) -> Result<Vec<Tensor>, Refused> {
    only(longs(&[], vec![call.needed(0)?.len() as i64])?)
}

fn non_zero(call: &Call<'_>) -> Result<Vec<Tensor>, Refused> {
    let tensor = call.needed(0)?;
    let shape = tensor.shape();
    if shape.is_empty() {
        return Err("a scalar has no axis".to_owned());
    }
    let numbers = tensor.numbers(1);
    let places = (0..numbers.len()).filter(|&at| numbers[at] != 0.0);
    let indices: Vec<Vec<usize>> = places.map(|at| multi_index(at, shape)).collect();
    let columns = [shape.len(), indices.len()];
    let mut values = Vec::with_capacity(count(&columns)?);
    for axis in 0..shape.len() {
        values.extend(indices.iter().map(|index| index[axis] as i64));
    }
    only(longs(&columns, values)?)
}

/// The element type of a number in ONNX's list.
fn dtype_of(code: i64) -> Result<Dtype, Refused> {
    cast::dtype_of(code).ok_or_else(|| format!("element type {code}"))
}

/// A zero and a one of a type.
fn zero_and_one(dtype: Dtype) -> Result<Tensor, Refused> {
    let mut bytes = vec![0; 2 * dtype.size()];
    let one = match dtype {
        Dtype::F32 => 1f32.to_le_bytes().to_vec(),
        Dtype::F64 => 1f64.to_le_bytes().to_vec(),
        Dtype::F16 => f16::ONE.to_le_bytes().to_vec(),
        Dtype::Bf16 => bf16::ONE.to_le_bytes().to_vec(),
        _ => vec![1],
    };
    bytes[dtype.size()..][..one.len()].copy_from_slice(&one);
    Tensor::from_bytes(dtype, &[2], &bytes).map_err(|error| error.to_string())
}

fn eye_like(call: &Call<'_>) -> Result<Vec<Tensor>, Refused> {
    let tensor = call.needed(0)?;
    let [rows, columns] = *tensor.shape() else {
        return Err(format!("an input of shape {:?} is no matrix", tensor.shape()));
    };
    let dtype = match int(call, "dtype", 0)? {
        0 => tensor.dtype(),
        code => dtype_of(code)?,
    };
    let diagonal = int(call, "k", 0)?;
    let elements = count(&[rows, columns])?;
    let on = |at: usize| (at % columns) as i64 - (at / columns) as i64 == diagonal;
    let places: Vec<usize> = (0..elements).map(|at| usize::from(on(at))).collect();
    only(pick(&zero_and_one(dtype)?, &[rows, columns], &places)?)
}

/// The number of classes: one whole number of any type.
fn depth_of(call: &Call<'_>) -> Result<usize, Refused> {
    let depth = call.needed(1)?.numbers(1);
    match depth[..] {
        [depth] if depth >= 1.0 && depth.fract() == 0.0 => extent(depth as i64),
        _ => Err(format!("a depth of {depth:?}")),
    }
}

fn one_hot(call: &Call<'_>) -> Result<Vec<Tensor>, Refused> {
    let (tensor, values) = (call.needed(0)?, call.needed(2)?);
    let depth = depth_of(call)?;
    let rank = tensor.shape().len() + 1;
    let axis = axis_in(int(call, "axis", -1)?, rank)?;
    if values.shape() != [2] {
        return Err(format!("values of shape {:?}", values.shape()));
    }
    let indices = tensor.numbers(1);
    if indices.iter().any(|index| index.fract() != 0.0) {
        return Err("an index is not whole".to_owned());
    }
    let mut result = tensor.shape().to_vec();
    result.insert(axis, depth);
    let elements = count(&result)?;
    let inner = strides(&result)[axis];
    // Before operator set 11, a negative index was out of range.
    let back = if call.opset < 11 { 0.0 } else { depth as f64 };
    let places = (0..elements).map(|at| {
        let class = (at / inner % depth) as f64;
        let index = indices[at / inner / depth * inner + at % inner];
        usize::from(index == class || (index < 0.0 && index + back == class))
    });
    only(pick(&join(&[values])?, &result, &places.collect::<Vec<_>>())?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn list(values: &[i64]) -> Option<Tensor> {
        longs(&[values.len()], values.to_vec()).ok()
    }

    fn one(value: i64) -> Option<Tensor> {
        longs(&[], vec![value]).ok()
    }

    fn run(
        op_type: &str,
        attributes: &[(&str, Attribute)],
        inputs: &[Option<Tensor>],
    ) -> Result<Tensor, Refused> {
        let attributes: BTreeMap<String, Attribute> =
            attributes.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let kernel = CONSTANT.iter().find(|(name, _)| *name == op_type).unwrap().1;
        let call = Call { op_type, opset: 15, attributes: &attributes, inputs, outputs: 1 };
        kernel(&call).map(|mut outputs| outputs.remove(0))
    }

    #[test]
    fn constants_are_given() {
        let value = run("Constant", &[("value_float", Attribute::Float(0.5))], &[]).unwrap();
        assert_eq!(value, Tensor::F32(typed(&[], vec![0.5]).unwrap()));
        assert!(run("Constant", &[], &[]).is_err());
        assert!(run("Constant", &[("value_string", Attribute::Text("a".into()))], &[]).is_err());
        let zeros = run("ConstantOfShape", &[], &[list(&[2])]).unwrap();
        assert_eq!(zeros, Tensor::from_f32(&[2], vec![0.0; 2]).unwrap());
        let value = [("value", Attribute::Tensor(list(&[7]).unwrap()))];
        assert_eq!(Some(run("ConstantOfShape", &value, &[list(&[2])]).unwrap()), list(&[7, 7]));
        assert!(run("ConstantOfShape", &[], &[list(&[1 << 29])]).is_err());
        assert!(run("ConstantOfShape", &[], &[list(&[-1])]).is_err());
    }

    #[test]
    fn ranges_stop_before_their_limit() {
        let up = run("Range", &[], &[one(1), one(6), one(2)]).unwrap();
        assert_eq!(Some(up), list(&[1, 3, 5]));
        let down = run("Range", &[], &[one(3), one(0), one(-2)]).unwrap();
        assert_eq!(Some(down), list(&[3, 1]));
        assert_eq!(Some(run("Range", &[], &[one(3), one(0), one(1)]).unwrap()), list(&[]));
        assert!(run("Range", &[], &[one(3), one(0), one(0)]).is_err());
        assert!(run("Range", &[], &[one(i64::MIN), one(i64::MAX), one(1)]).is_err());
        let real = |value: f32| Some(Tensor::from_f32(&[], vec![value]).unwrap());
        let reals = run("Range", &[], &[real(0.0), real(1.0), real(0.5)]).unwrap();
        assert_eq!(reals.numbers(1), [0.0, 0.5]);
        assert!(run("Range", &[], &[real(0.0), real(1.0), real(f32::NAN)]).is_err());
    }

    #[test]
    fn shapes_are_cut() {
        let input = || Some(Tensor::from_f32(&[2, 3, 4], vec![0.0; 24]).unwrap());
        assert_eq!(Some(run("Shape", &[], &[input()]).unwrap()), list(&[2, 3, 4]));
        let cut = [("start", Attribute::Int(-2)), ("end", Attribute::Int(99))];
        assert_eq!(Some(run("Shape", &cut, &[input()]).unwrap()), list(&[3, 4]));
        let none = [("start", Attribute::Int(2)), ("end", Attribute::Int(1))];
        assert_eq!(Some(run("Shape", &none, &[input()]).unwrap()), list(&[]));
        assert_eq!(Some(run("Size", &[], &[input()]).unwrap()), one(24));
    }

    #[test]
    fn places_of_elements() {
        let input = Some(Tensor::from_f32(&[2, 2], vec![1.0, 0.0, f32::NAN, 2.0]).unwrap());
        let result = run("NonZero", &[], std::slice::from_ref(&input)).unwrap();
        assert_eq!(result, longs(&[2, 3], vec![0, 1, 1, 0, 0, 1]).unwrap());
        let eye = [("k", Attribute::Int(1)), ("dtype", Attribute::Int(9))];
        let result = run("EyeLike", &eye, &[input]).unwrap();
        assert_eq!(result, Tensor::Bool(typed(&[2, 2], vec![false, true, false, false]).unwrap()));
    }

    #[test]
    fn one_class_is_hot() {
        let result = run("OneHot", &[], &[list(&[1, -1, 5]), one(3), list(&[0, 9])]).unwrap();
        assert_eq!(result.shape(), [3, 3]);
        assert_eq!(result.numbers(1), [0.0, 9.0, 0.0, 0.0, 0.0, 9.0, 0.0, 0.0, 0.0]);
        let first = [("axis", Attribute::Int(0))];
        let result = run("OneHot", &first, &[list(&[1, 0]), one(2), list(&[0, 9])]).unwrap();
        assert_eq!(result.numbers(1), [0.0, 9.0, 9.0, 0.0]);
        assert!(run("OneHot", &[], &[list(&[1]), one(0), list(&[0, 9])]).is_err());
        assert!(run("OneHot", &[], &[list(&[1]), one(1 << 30), list(&[0, 9])]).is_err());
    }
}
