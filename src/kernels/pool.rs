//! Pools: the largest element, the mean and the norm of each window.
//!
//! The largest element of a window with a NaN is the NaN. Padding never counts in a maximum. In a
//! mean, padding counts only if `count_include_pad` is set.

use super::call::Kernel;
use super::call::Reals;
use super::layout::{count, extent, flag, floats, int, ints, longs, only_reals, pick};
use super::window::{AutoPad, WindowTap, Windows, split};
use super::{Call, Refused};
use crate::tensor::{Tensor, element_count};

/// The kernels of this file.
pub(super) const POOL: &[(&str, Kernel)] = &[
    ("MaxPool", max_pool),
    ("AveragePool", average_pool),
    ("LpPool", lp_pool),
    ("GlobalMaxPool", global_max_pool),
    ("GlobalAveragePool", global_average_pool),
    ("GlobalLpPool", global_lp_pool),
];

/// The windows that a pool's attributes ask for.
pub(super) fn windows(call: &Call<'_>, shape: &[usize]) -> Result<Windows, Refused> {
    let (_, _, spatial) = split(shape)?;
    let kernel = ints(call, "kernel_shape")?.ok_or("kernel_shape is missing")?;
    let kernel: Result<Vec<usize>, Refused> = kernel.iter().map(|&value| extent(value)).collect();
    let windows = Windows::of(call, spatial, &kernel?, flag(call, "ceil_mode", false)?)?;
    let same = matches!(AutoPad::of(call)?, AutoPad::SameUpper | AutoPad::SameLower);
    for (axis, &length) in spatial.iter().enumerate().filter(|_| same) {
        // For such windows the standard's formula gives a negative padding, and engines disagree on it.
        let last = (windows.output[axis] as i64 - 1) * windows.strides[axis];
        if last + windows.span(axis)? < length as i64 {
            return Err("windows that skip elements have no padding of the same extent".to_owned());
        }
    }
    Ok(windows)
}

/// One number for each window of each channel, in row-major order.
fn each_window<T: Copy + Default>(
    shape: &[usize],
    windows: &Windows,
    mut number: impl FnMut(usize, usize, &[WindowTap]) -> Result<T, Refused>,
) -> Result<(Vec<usize>, Vec<T>), Refused> {
    let (batch, channels, spatial) = split(shape)?;
    let mut out = vec![batch, channels];
    out.extend(&windows.output);
    let mut values = vec![T::default(); count(&out)?];
    let plane = element_count(spatial).unwrap_or(0);
    let positions = element_count(&windows.output).unwrap_or(0);
    for position in 0..if values.is_empty() { 0 } else { positions } {
        let taps = windows.taps(position);
        for row in 0..batch * channels {
            values[row * positions + position] = number(row * plane, position, &taps)?;
        }
    }
    Ok((out, values))
}

fn max_pool(call: &Call<'_>) -> Result<Vec<Tensor>, Refused> {
    let tensor = call.needed(0)?;
    if call.outputs > 1 && int(call, "storage_order", 0)? != 0 {
        return Err("column-major indices".to_owned());
    }
    let windows = windows(call, tensor.shape())?;
    largest(tensor, &windows, call.outputs > 1)
}

/// The largest element of each window, and its position if asked.
fn largest(tensor: &Tensor, windows: &Windows, indices: bool) -> Result<Vec<Tensor>, Refused> {
    let values = tensor.numbers(1);
    let (shape, places) = each_window(tensor.shape(), windows, |first, _, taps| {
        let mut places = taps.iter().map(|tap| first + tap.input);
        let one = places.next().ok_or("a window is wholly inside the padding")?;
        Ok(places.fold(one, |best, place| if above(&values, place, best) { place } else { best }))
    })?;
    let picked = pick(tensor, &shape, &places)?;
    let widened =
        if picked.dtype().is_float() { Reals::of(&picked).into_tensor()? } else { picked };
    let mut outputs = vec![widened];
    if indices {
        outputs.push(longs(&shape, places.iter().map(|&place| place as i64).collect())?);
    }
    Ok(outputs)
}

/// Whether an element ranks above the best so far. The first NaN stays.
fn above(values: &[f64], place: usize, best: usize) -> bool {
    let (value, best) = (values[place], values[best]);
    !best.is_nan() && (value.is_nan() || value > best)
}

fn average_pool(call: &Call<'_>) -> Result<Vec<Tensor>, Refused> {
    let input = floats(call, 0)?;
    let padding = flag(call, "count_include_pad", false)?;
    let windows = windows(call, &input.shape)?;
    let (shape, values) = each_window(&input.shape, &windows, |first, position, taps| {
        let elements = if padding { windows.within_padding(position) } else { taps.len() };
        if elements == 0 {
            return Err("a window is wholly inside the padding".to_owned());
        }
        let sum: f64 = taps.iter().map(|tap| input.values[first + tap.input]).sum();
        Ok(sum / elements as f64)
    })?;
    only_reals(&shape, values)
}

/// The exponent of a norm, from the attribute `p`.
fn exponent(call: &Call<'_>) -> Result<f64, Refused> {
    let p = int(call, "p", 2)?;
    if p < 1 {
        return Err(format!("a norm of exponent {p}"));
    }
    Ok(p as f64)
}

fn norm(values: impl Iterator<Item = f64>, p: f64) -> f64 {
    values.map(|value| value.abs().powf(p)).sum::<f64>().powf(1.0 / p)
}

fn lp_pool(call: &Call<'_>) -> Result<Vec<Tensor>, Refused> {
    let (input, p) = (floats(call, 0)?, exponent(call)?);
    let windows = windows(call, &input.shape)?;
    let (shape, values) = each_window(&input.shape, &windows, |first, _, taps| {
        Ok(norm(taps.iter().map(|tap| input.values[first + tap.input]), p))
    })?;
    only_reals(&shape, values)
}

/// One number for each channel.
fn global(
    call: &Call<'_>,
    number: impl Fn(&[f64]) -> Result<f64, Refused>,
) -> Result<Vec<Tensor>, Refused> {
    let input = floats(call, 0)?;
    let (batch, channels, spatial) = split(&input.shape)?;
    let plane = element_count(spatial).unwrap_or(0);
    let mut shape = vec![batch, channels];
    shape.resize(input.shape.len(), 1);
    let rows = count(&shape)?;
    let values = (0..rows).map(|row| number(&input.values[row * plane..][..plane]));
    only_reals(&shape, values.collect::<Result<_, _>>()?)
}

fn global_max_pool(call: &Call<'_>) -> Result<Vec<Tensor>, Refused> {
    global(call, |plane| {
        let best =
            (0..plane.len()).reduce(|best, at| if above(plane, at, best) { at } else { best });
        best.map(|at| plane[at]).ok_or_else(|| "a plane without elements".to_owned())
    })
}

fn global_average_pool(call: &Call<'_>) -> Result<Vec<Tensor>, Refused> {
    global(call, |plane| Ok(plane.iter().sum::<f64>() / plane.len() as f64))
}

fn global_lp_pool(call: &Call<'_>) -> Result<Vec<Tensor>, Refused> {
    let p = exponent(call)?;
    global(call, |plane| Ok(norm(plane.iter().copied(), p)))
}

#[cfg(test)]
mod tests {
    use super::super::layout::typed;
    use super::*;
    use crate::graph::Attribute;
    use std::collections::BTreeMap;

    fn tensor(shape: &[usize], values: &[f32]) -> Tensor {
        Tensor::from_f32(shape, values.to_vec()).unwrap()
    }

    fn run(
        op_type: &str,
        lists: &[(&str, &[i64])],
        flags: &[(&str, i64)],
        input: Tensor,
    ) -> Result<Vec<Tensor>, Refused> {
        let lists = lists.iter().map(|(name, list)| (*name, Attribute::Ints(list.to_vec())));
        let flags = flags.iter().map(|&(name, value)| (name, Attribute::Int(value)));
        let attributes: BTreeMap<String, Attribute> =
            lists.chain(flags).map(|(name, value)| (name.to_owned(), value)).collect();
        let kernel = POOL.iter().find(|(name, _)| *name == op_type).unwrap().1;
        let inputs = [Some(input)];
        kernel(&Call { op_type, opset: 19, attributes: &attributes, inputs: &inputs, outputs: 2 })
    }

    #[test]
    fn the_largest_element_and_its_place() {
        let input = tensor(&[1, 2, 3], &[1.0, 5.0, 2.0, 9.0, 9.0, f32::NAN]);
        let result = run("MaxPool", &[("kernel_shape", &[2])], &[], input).unwrap();
        let values = result[0].numbers(1);
        assert_eq!(values[..3], [5.0, 5.0, 9.0]);
        assert!(values[3].is_nan());
        assert_eq!(result[1], longs(&[1, 2, 2], vec![1, 1, 3, 5]).unwrap());
    }

    #[test]
    fn whole_numbers_keep_their_type() {
        let input = Tensor::I8(typed(&[1, 1, 2], vec![-3, -2]).unwrap());
        let lists: [(&str, &[i64]); 2] = [("kernel_shape", &[2]), ("pads", &[1, 1])];
        let result = run("MaxPool", &lists, &[], input).unwrap();
        assert_eq!(result[0], Tensor::I8(typed(&[1, 1, 3], vec![-3, -2, -2]).unwrap()));
    }

    #[test]
    fn padding_counts_only_if_asked() {
        let input = tensor(&[1, 1, 3], &[2.0, 4.0, 6.0]);
        let lists: [(&str, &[i64]); 3] =
            [("kernel_shape", &[2]), ("pads", &[1, 0]), ("strides", &[3])];
        let ceil = [("ceil_mode", 1)];
        let result = run("AveragePool", &lists, &ceil, input.clone()).unwrap();
        assert_eq!(result[0].numbers(1), [2.0, 6.0]);
        let counted = [("ceil_mode", 1), ("count_include_pad", 1)];
        let result = run("AveragePool", &lists, &counted, input).unwrap();
        assert_eq!(result[0].numbers(1), [1.0, 6.0]);
    }

    #[test]
    fn norms_and_planes() {
        let input = tensor(&[1, 1, 2], &[3.0, -4.0]);
        let result = run("LpPool", &[("kernel_shape", &[2])], &[], input.clone()).unwrap();
        assert!((result[0].numbers(1)[0] - 5.0).abs() < 1e-12);
        for (op_type, value) in
            [("GlobalMaxPool", 3.0), ("GlobalAveragePool", -0.5), ("GlobalLpPool", 5.0)]
        {
            let result = run(op_type, &[], &[], input.clone()).unwrap();
            assert_eq!(result[0].shape(), [1, 1, 1]);
            assert!((result[0].numbers(1)[0] - value).abs() < 1e-12, "{op_type}");
        }
    }

    #[test]
    fn odd_forms_are_refused() {
        let input = || tensor(&[1, 1, 2], &[3.0, -4.0]);
        assert!(run("MaxPool", &[], &[], input()).is_err());
        assert!(run("MaxPool", &[("kernel_shape", &[i64::MAX])], &[], input()).is_err());
        let shape: (&str, &[i64]) = ("kernel_shape", &[2]);
        assert!(run("MaxPool", &[shape], &[("storage_order", 1)], input()).is_err());
        assert!(run("LpPool", &[shape], &[("p", 0)], input()).is_err());
        assert!(run("AveragePool", &[shape, ("pads", &[2, 0])], &[], input()).is_err());
        assert!(run("GlobalMaxPool", &[], &[], tensor(&[1, 1, 0], &[])).is_err());
    }
}
