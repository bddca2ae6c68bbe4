//! Quantization: real numbers to small integers and back.
//!
//! The standard divides by the scale in the precision of the scale. That precision can decide
//! whether a number falls above or below a half. So the division here is rounded as in the standard.

use super::broadcast::spread;
use super::call::{Call, Kernel, Reals, Refused};
use super::cast::{dtype_of, rounded};
use super::lanes::place_of;
use super::number::{Wholes, floats, limits};
use super::sum::{greater, smaller};
use crate::tensor::{Dtype, Tensor};

/// The outputs of an operator, or the reason why they are refused.
type Made = Result<Vec<Tensor>, Refused>;

/// The kernels of this file.
pub(super) const QUANTIZE: &[(&str, Kernel)] = &[
    ("QuantizeLinear", quantize),
    ("DequantizeLinear", dequantize),
    ("DynamicQuantizeLinear", by_range),
];

/// The supported types of small integers.
const SMALL: [Dtype; 4] = [Dtype::U8, Dtype::I8, Dtype::U16, Dtype::I16];

fn quantize(call: &Call<'_>) -> Made {
    refuse_odd_forms(call)?;
    if call.int("precision").unwrap_or(0) != 0 {
        return Err("QuantizeLinear of a chosen precision".into());
    }
    let (input, scale) = (call.needed(0)?, call.needed(1)?);
    if !(input.dtype().is_float() || input.dtype() == Dtype::I32) {
        return Err(format!("QuantizeLinear takes no {}", input.dtype()));
    }
    let dtype = target(call)?;
    // If the caller has not rounded the input, no other value here is rounded.
    let wide = input.dtype() == Dtype::F64;
    let precision = if wide { Dtype::F64 } else { scale.dtype() };
    let shape = input.shape().to_vec();
    let scales = floats(call, 1)?;
    let scales = per_element(call, &shape, &scales.shape, &scales.values)?;
    let zeros = zero_points(call, &shape, dtype)?;
    let mut values = Vec::with_capacity(scales.len());
    for ((x, scale), zero) in Reals::of(input).values.into_iter().zip(scales).zip(zeros) {
        let ratio = rounded(rounded(x, precision) / scale, precision);
        values.push(saturated(ratio, zero, dtype)?);
    }
    Ok(vec![Wholes { shape, values, dtype }.into_tensor()?])
}

/// A ratio rounded to a whole number, moved by the zero point and clamped to the type's range.
fn saturated(ratio: f64, zero: i128, dtype: Dtype) -> Result<i128, Refused> {
    if ratio.is_nan() {
        return Err(format!("undefined: NaN as {dtype}"));
    }
    let (low, high) = limits(dtype).ok_or_else(|| format!("{dtype} has no whole numbers"))?;
    // The conversion saturates far beyond any type, so adding the zero point must also saturate.
    let whole = ratio.round_ties_even() as i128;
    Ok(whole.saturating_add(zero).clamp(low, high))
}

/// The type to quantize to: the zero point's type, or else the type that an attribute names.
fn target(call: &Call<'_>) -> Result<Dtype, Refused> {
    let named = match call.int("output_dtype").unwrap_or(0) {
        0 => None,
        number => {
            let dtype = dtype_of(number);
            Some(dtype.ok_or_else(|| format!("ONNX type {number} is unknown"))?)
        }
    };
    let given = call.input(2).map(Tensor::dtype);
    if let (Some(named), Some(given)) = (named, given)
        && named != given
    {
        return Err(format!("the zero point is {given}, but the output {named}"));
    }
    let dtype = given.or(named).unwrap_or(Dtype::U8);
    if SMALL.contains(&dtype) { Ok(dtype) } else { Err(format!("no quantization to {dtype}")) }
}

/// Refuses a form that neither direction knows: scales for blocks of an axis.
fn refuse_odd_forms(call: &Call<'_>) -> Result<(), Refused> {
    match call.int("block_size").unwrap_or(0) {
        0 => Ok(()),
        size => Err(format!("quantization by blocks of {size}")),
    }
}

/// One number for each element, from a single number or from one number for each place along the axis.
fn per_element<T: Copy>(
    call: &Call<'_>,
    shape: &[usize],
    from: &[usize],
    values: &[T],
) -> Result<Vec<T>, Refused> {
    if values.len() == 1 && from.len() <= 1 {
        return spread(values, &[], shape);
    }
    if from.len() != 1 {
        return Err(format!("a scale of shape {from:?}"));
    }
    let place = place_of(shape, call.int("axis").unwrap_or(1))?;
    if shape[place] != values.len() {
        return Err(format!("{} scales for an axis of {}", values.len(), shape[place]));
    }
    let mut narrow = vec![1; shape.len()];
    narrow[place] = values.len();
    spread(values, &narrow, shape)
}

/// The zero point of each element; 0 if the node omits it.
fn zero_points(call: &Call<'_>, shape: &[usize], dtype: Dtype) -> Result<Vec<i128>, Refused> {
    let Some(tensor) = call.input(2) else {
        return spread(&[0], &[], shape);
    };
    let scale = call.needed(1)?;
    let shapes_agree = tensor.shape() == scale.shape() || (tensor.len() == 1 && scale.len() == 1);
    match Wholes::of(tensor).filter(|zero| zero.dtype == dtype) {
        Some(zero) if shapes_agree => per_element(call, shape, &zero.shape, &zero.values),
        Some(_) => Err("the zero point is not of the scale's shape".into()),
        None => Err(format!("the zero point is not {dtype}")),
    }
}

fn dequantize(call: &Call<'_>) -> Made {
    refuse_odd_forms(call)?;
    if call.int("output_dtype").unwrap_or(0) != 0 {
        return Err("DequantizeLinear to a chosen type".into());
    }
    let input = Wholes::of(call.needed(0)?);
    let known = |wholes: &Wholes| SMALL.contains(&wholes.dtype) || wholes.dtype == Dtype::I32;
    let Wholes { shape, values, dtype } =
        input.filter(known).ok_or("DequantizeLinear takes integers of up to 32 bits")?;
    let scales = floats(call, 1)?;
    let scales = per_element(call, &shape, &scales.shape, &scales.values)?;
    let zeros = zero_points(call, &shape, dtype)?;
    let each = values.iter().zip(zeros).zip(scales);
    let made = each.map(|((value, zero), scale)| (value - zero) as f64 * scale).collect();
    Ok(vec![Reals::new(&shape, made).into_tensor()?])
}

/// Quantizes to `u8` by the range of the input itself.
fn by_range(call: &Call<'_>) -> Made {
    let dtype = call.needed(0)?.dtype();
    let Reals { shape, values } = floats(call, 0)?;
    if !matches!(dtype, Dtype::F32 | Dtype::F64) {
        return Err(format!("DynamicQuantizeLinear takes no {dtype}"));
    }
    if values.is_empty() {
        return Err("undefined: the range of no elements".into());
    }
    let low = values.iter().copied().fold(0.0, smaller);
    let high = values.iter().copied().fold(0.0, greater);
    let scale = rounded(rounded(high - low, dtype) / 255.0, dtype);
    let zero = -rounded(low / scale, dtype);
    let zero = saturated(zero.clamp(0.0, 255.0), 0, Dtype::U8)?;
    let whole = |&x: &f64| saturated(rounded(x / scale, dtype), zero, Dtype::U8);
    let values = values.iter().map(whole).collect::<Result<_, _>>()?;
    let zero = Wholes { shape: Vec::new(), values: vec![zero], dtype: Dtype::U8 };
    Ok(vec![
        Wholes { shape, values, dtype: Dtype::U8 }.into_tensor()?,
        Reals::new(&[], vec![scale]).into_tensor()?,
        zero.into_tensor()?,
    ])
}

#[cfg(test)]
mod tests {
    use super::super::number::tensor_of;
    use super::*;
    use crate::graph::Attribute;
    use half::f16;
    use std::collections::BTreeMap;

    fn run(op_type: &str, given: &[(&str, i64)], inputs: &[Tensor]) -> Made {
        let attributes: BTreeMap<_, _> = given
            .iter()
            .map(|(name, value)| ((*name).to_owned(), Attribute::Int(*value)))
            .collect();
        let inputs: Vec<_> = inputs.iter().cloned().map(Some).collect();
        let call =
            Call { op_type, opset: 21, attributes: &attributes, inputs: &inputs, outputs: 1 };
        QUANTIZE.iter().find(|(name, _)| *name == op_type).unwrap().1(&call)
    }

    fn vector<T: Clone>(values: &[T]) -> Tensor
    where
        Tensor: From<ndarray::ArrayD<T>>,
    {
        tensor_of(&[values.len()], values.to_vec()).unwrap()
    }

    fn scalar<T>(value: T) -> Tensor
    where
        Tensor: From<ndarray::ArrayD<T>>,
    {
        tensor_of(&[], vec![value]).unwrap()
    }

    #[test]
    fn halves_round_to_even_and_ends_saturate() {
        let input = vector(&[1.0_f32, 3.0, 5.0, -1.0, 1e9, f32::INFINITY, f32::NEG_INFINITY]);
        let made = run("QuantizeLinear", &[], &[input.clone(), scalar(2.0_f32)]).unwrap();
        assert_eq!(made[0], vector(&[0_u8, 2, 2, 0, 255, 255, 0]));
        let made = run("QuantizeLinear", &[], &[input.clone(), scalar(2.0_f32), scalar(-1_i8)]);
        assert_eq!(made.unwrap()[0], vector(&[-1_i8, 1, 1, -1, 127, 127, -128]));
        let made =
            run("QuantizeLinear", &[("output_dtype", 5)], &[input, scalar(2.0_f32)]).unwrap();
        assert_eq!(made[0], vector(&[0_i16, 2, 2, 0, 32767, 32767, -32768]));
        assert!(run("QuantizeLinear", &[], &[vector(&[f32::NAN]), scalar(1.0_f32)]).is_err());
    }

    #[test]
    fn the_division_is_as_precise_as_the_scale() {
        // In f32, 0.15 / 0.1 is 1.5, although the exact quotient of the two f32 numbers is not.
        let (x, scale) = (0.15_f32, 0.1_f32);
        assert_eq!(x / scale, 1.5);
        assert!(f64::from(x) / f64::from(scale) != 1.5);
        let mut state = 1_u32;
        for _ in 0..20_000 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let scale = (state >> 20) as f32 / 4096.0 + 1e-3;
            let x = scale * ((state >> 8 & 0xff) as f32 + 0.5);
            let want = (x / scale).round_ties_even().clamp(0.0, 255.0) as u8;
            let made = run("QuantizeLinear", &[], &[vector(&[x]), scalar(scale)]).unwrap();
            assert_eq!(made[0], vector(&[want]), "{x} / {scale}");
        }
        let made = run(
            "QuantizeLinear",
            &[],
            &[vector(&[f16::from_f32(0.15)]), scalar(f16::from_f32(0.1))],
        );
        let ratio = f16::from_f64(f16::from_f32(0.15).to_f64() / f16::from_f32(0.1).to_f64());
        assert_eq!(made.unwrap()[0], vector(&[ratio.to_f64().round_ties_even() as u8]));
    }

    #[test]
    fn scales_lie_along_an_axis() {
        let input = tensor_of(&[2, 2], vec![10.0_f32, 10.0, 20.0, 20.0]).unwrap();
        let inputs = [input, vector(&[1.0_f32, 5.0]), vector(&[0_u8, 1])];
        let made = run("QuantizeLinear", &[], &inputs).unwrap();
        assert_eq!(made[0], tensor_of(&[2, 2], vec![10_u8, 3, 20, 5]).unwrap());
        let made = run("QuantizeLinear", &[("axis", -2)], &inputs).unwrap();
        assert_eq!(made[0], tensor_of(&[2, 2], vec![10_u8, 10, 5, 5]).unwrap());
        let back = [made[0].clone(), inputs[1].clone(), inputs[2].clone()];
        let made = run("DequantizeLinear", &[("axis", 0)], &back).unwrap();
        assert_eq!(made[0].numbers(1), [10.0, 10.0, 20.0, 20.0]);
        let three = [inputs[0].clone(), vector(&[1.0_f32; 3])];
        assert!(run("QuantizeLinear", &[], &three).is_err());
        assert!(run("QuantizeLinear", &[("axis", 2)], &inputs).is_err());
        assert!(run("QuantizeLinear", &[("block_size", 2)], &inputs).is_err());
        assert!(run("QuantizeLinear", &[("precision", 1)], &inputs).is_err());
    }

    #[test]
    fn odd_types_are_refused() {
        let (x, scale) = (vector(&[1.0_f32]), scalar(1.0_f32));
        assert!(run("QuantizeLinear", &[], &[x.clone(), scale.clone(), scalar(0_i32)]).is_err());
        assert!(run("QuantizeLinear", &[], &[x.clone(), scalar(1_i32)]).is_err());
        assert!(
            run("QuantizeLinear", &[("output_dtype", 17)], &[x.clone(), scale.clone()]).is_err()
        );
        let both = [x.clone(), scale.clone(), scalar(0_u8)];
        assert!(run("QuantizeLinear", &[("output_dtype", 3)], &both).is_err());
        assert!(run("DequantizeLinear", &[], &[x, scale.clone()]).is_err());
        assert!(run("DequantizeLinear", &[], &[vector(&[1_i64]), scale.clone()]).is_err());
        assert!(run("DequantizeLinear", &[], &[vector(&[1_u8]), scale, scalar(0_i8)]).is_err());
    }

    #[test]
    fn integers_come_back() {
        let of = |input, scale: f32| run("DequantizeLinear", &[], &[input, scalar(scale)]).unwrap();
        assert_eq!(
            of(vector(&[i32::MIN, i32::MAX]), 0.5)[0].numbers(1),
            [-1073741824.0, 1073741823.5]
        );
        let inputs = [vector(&[0_u16, 65535]), scalar(2.0_f32), scalar(32768_u16)];
        let made = run("DequantizeLinear", &[], &inputs).unwrap();
        assert_eq!(made[0].numbers(1), [-65536.0, 65534.0]);
    }

    #[test]
    fn the_range_of_the_input_gives_the_scale() {
        // The example of the standard.
        let input = vector(&[0.0_f32, 2.0, -3.0, -2.5, 1.34, 0.5]);
        let made = run("DynamicQuantizeLinear", &[], &[input]).unwrap();
        assert_eq!(made[0], vector(&[153_u8, 255, 0, 26, 221, 179]));
        assert_eq!(made[1].numbers(1), [f64::from(5.0_f32 / 255.0)]);
        assert_eq!(made[2], scalar(153_u8));
        let made =
            run("DynamicQuantizeLinear", &[], &[vector(&[1.0_f32, 2.1, 1.3, 2.5, 3.34, 4.0])]);
        assert_eq!(made.unwrap()[0], vector(&[64_u8, 134, 83, 159, 213, 255]));
        for wrong in [&[][..], &[0.0_f32, 0.0], &[f32::NAN], &[f32::INFINITY]] {
            assert!(run("DynamicQuantizeLinear", &[], &[vector(wrong)]).is_err());
        }
    }

    #[test]
    fn nothing_panics() {
        let tensors = [
            scalar(1.0_f32),
            vector::<f32>(&[]),
            vector(&[1_u8, 2]),
            scalar(0_i8),
            scalar(true),
            tensor_of(&[1, 2], vec![f32::MAX, f32::MIN]).unwrap(),
            vector(&[i32::MIN]),
            scalar(0.0_f64),
        ];
        for (name, _) in QUANTIZE {
            for (a, b) in tensors.iter().flat_map(|a| tensors.iter().map(move |b| (a, b))) {
                for given in [&[][..], &[("axis", i64::MIN)], &[("axis", 0)]] {
                    let _ = run(name, given, &[a.clone(), b.clone()]);
                    for c in &tensors {
                        let _ = run(name, given, &[a.clone(), b.clone(), c.clone()]);
                    }
                }
            }
        }
    }
}
