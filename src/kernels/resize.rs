//! Resizes by interpolation, one axis at a time.
//!
//! Each place of the result has a few taps along the axis, with weights. An axis that keeps its extent
//! at scale 1 is skipped. `Upsample` is the older operator, without a transformation of coordinates.

use super::call::Kernel;
use super::call::Reals;
use super::layout::{
    axis_in, count, extent, flag, float, floats, floats_if_there, int, ints, longs_if_there, only,
    only_reals, pick, text,
};
use super::resize_axis::{Curve, Nearest, ResizeAxis, Transform};
use super::{Call, Refused};
use crate::graph::Attribute;
use crate::tensor::Tensor;

/// The kernels of this file.
pub(super) const RESIZE: &[(&str, Kernel)] = &[("Resize", resize), ("Upsample", upsample)];

#[derive(Debug, Clone, Copy, PartialEq)]
enum ResizeMode {
    Nearest(Nearest),
    Curve(Curve),
}

fn transform(call: &Call<'_>) -> Result<Transform, Refused> {
    match text(call, "coordinate_transformation_mode", "half_pixel")? {
        "half_pixel" => Ok(Transform::HalfPixel),
        "half_pixel_symmetric" => Ok(Transform::Symmetric),
        "pytorch_half_pixel" => Ok(Transform::PyTorch),
        "align_corners" => Ok(Transform::AlignCorners),
        "asymmetric" => Ok(Transform::Asymmetric),
        other => Err(format!("coordinate_transformation_mode {other}")),
    }
}

fn mode(call: &Call<'_>) -> Result<ResizeMode, Refused> {
    match text(call, "mode", "nearest")? {
        "nearest" => {}
        "linear" => return Ok(ResizeMode::Curve(Curve::Linear)),
        "cubic" => {
            let (a, exclude) =
                (float(call, "cubic_coeff_a", -0.75)?, flag(call, "exclude_outside", false)?);
            return Ok(ResizeMode::Curve(Curve::Cubic { a, exclude }));
        }
        other => return Err(format!("mode {other}")),
    }
    match text(call, "nearest_mode", "round_prefer_floor")? {
        "round_prefer_floor" => Ok(ResizeMode::Nearest(Nearest::PreferFloor)),
        "round_prefer_ceil" => Ok(ResizeMode::Nearest(Nearest::PreferCeil)),
        "floor" => Ok(ResizeMode::Nearest(Nearest::Floor)),
        "ceil" => Ok(ResizeMode::Nearest(Nearest::Ceil)),
        other => Err(format!("nearest_mode {other}")),
    }
}

fn resize(call: &Call<'_>) -> Result<Vec<Tensor>, Refused> {
    let policy = text(call, "keep_aspect_ratio_policy", "stretch")?;
    if call.opset < 11 || int(call, "antialias", 0)? != 0 || policy != "stretch" {
        return Err("antialiasing, a kept ratio, or an old operator set".to_owned());
    }
    let (mode, transform) = (mode(call)?, transform(call)?);
    let shape = call.needed(0)?.shape();
    let named = match ints(call, "axes")? {
        Some(axes) => {
            axes.iter().map(|&axis| axis_in(axis, shape.len())).collect::<Result<_, _>>()?
        }
        None => (0..shape.len()).collect::<Vec<_>>(),
    };
    let mut axes: Vec<ResizeAxis> = shape.iter().map(|&from| ResizeAxis::kept(from)).collect();
    let scales = floats_if_there(call, 2)?.filter(|scales| !scales.values.is_empty());
    let sizes = longs_if_there(call, 3)?.filter(|sizes| !sizes.is_empty());
    match (scales, sizes) {
        (Some(scales), None) if scales.values.len() == named.len() => {
            for (&axis, &scale) in named.iter().zip(&scales.values) {
                axes[axis] = ResizeAxis::scaled(shape[axis], scale)?;
            }
        }
        (None, Some(sizes)) if sizes.len() == named.len() => {
            for (&axis, &size) in named.iter().zip(&sizes) {
                axes[axis].to = extent(size)?;
            }
        }
        _ => return Err("not one scale or one size for each axis".to_owned()),
    }
    interpolate(call, &axes, transform, mode)
}

fn upsample(call: &Call<'_>) -> Result<Vec<Tensor>, Refused> {
    let shape = call.needed(0)?.shape();
    let scales = match (call.opset, call.attributes.get("scales")) {
        (7..9, Some(Attribute::Floats(scales))) => {
            scales.iter().map(|&scale| f64::from(scale)).collect()
        }
        (9.., None) => floats(call, 1)?.values,
        _ => return Err("an Upsample without scales".to_owned()),
    };
    if scales.len() != shape.len() {
        return Err(format!("{} scales for a shape {shape:?}", scales.len()));
    }
    let axes = shape.iter().zip(scales).map(|(&from, scale)| ResizeAxis::scaled(from, scale));
    let axes = axes.collect::<Result<Vec<_>, _>>()?;
    let mode = match text(call, "mode", "nearest")? {
        "nearest" => ResizeMode::Nearest(Nearest::Floor),
        "linear" | "bilinear" => ResizeMode::Curve(Curve::Linear),
        other => return Err(format!("mode {other}")),
    };
    interpolate(call, &axes, Transform::Asymmetric, mode)
}

/// Resizes the axes; the nearest elements keep their type and bits.
fn interpolate(
    call: &Call<'_>,
    axes: &[ResizeAxis],
    transform: Transform,
    mode: ResizeMode,
) -> Result<Vec<Tensor>, Refused> {
    let shape: Vec<usize> = axes.iter().map(|axis| axis.to).collect();
    let elements = count(&shape)?;
    if elements > 0 && axes.iter().any(|axis| axis.from == 0) {
        return Err("an axis without elements".to_owned());
    }
    let tensor = call.needed(0)?;
    if elements == 0 {
        return only(pick(tensor, &shape, &[])?);
    }
    match mode {
        ResizeMode::Nearest(nearest) => {
            only(pick(tensor, &shape, &nearest_places(axes, transform, nearest)?)?)
        }
        ResizeMode::Curve(curve) => weighted(call, axes, transform, curve),
    }
}

/// The flat position of the nearest element for each place of the result.
fn nearest_places(
    axes: &[ResizeAxis],
    transform: Transform,
    nearest: Nearest,
) -> Result<Vec<usize>, Refused> {
    let mut places = vec![0];
    for &axis in axes {
        let along = (0..axis.to)
            .map(|at| if axis.is_kept() { Ok(at) } else { axis.nearest(at, transform, nearest) });
        let along = along.collect::<Result<Vec<_>, _>>()?;
        let before = places.iter();
        let longer = before.flat_map(|&before| along.iter().map(move |at| before * axis.from + at));
        places = longer.collect();
    }
    Ok(places)
}

/// Weighs elements along one axis at a time.
fn weighted(
    call: &Call<'_>,
    axes: &[ResizeAxis],
    transform: Transform,
    curve: Curve,
) -> Result<Vec<Tensor>, Refused> {
    let Reals { shape: mut extents, mut values } = floats(call, 0)?;
    for (at, &axis) in axes.iter().enumerate().filter(|(_, axis)| !axis.is_kept()) {
        let inner: usize = extents[at + 1..].iter().product();
        extents[at] = axis.to;
        let mut resized = Vec::with_capacity(count(&extents)?);
        let taps: Vec<_> = (0..axis.to).map(|place| axis.taps(place, transform, curve)).collect();
        for block in values.chunks(axis.from * inner) {
            for taps in &taps {
                resized.extend((0..inner).map(|column| {
                    let parts = taps.iter().map(|&(from, by)| block[from * inner + column] * by);
                    parts.sum::<f64>()
                }));
            }
        }
        values = resized;
    }
    only_reals(&extents, values)
}

#[cfg(test)]
mod tests {
    use super::super::layout::{longs, typed};
    use super::*;
    use std::collections::BTreeMap;

    fn run(
        texts: &[(&str, &str)],
        scale: Option<f32>,
        size: Option<i64>,
    ) -> Result<Vec<f64>, Refused> {
        let texts =
            texts.iter().map(|&(name, text)| (name.to_owned(), Attribute::Text(text.to_owned())));
        let attributes: BTreeMap<String, Attribute> = texts.collect();
        let row = Tensor::from_f32(&[4], vec![1.0, 2.0, 3.0, 4.0]).unwrap();
        let scale = scale.map(|scale| Tensor::from_f32(&[1], vec![scale]).unwrap());
        let size = size.map(|size| longs(&[1], vec![size]).unwrap());
        let inputs = [Some(row), None, scale, size];
        let op_type = "Resize";
        let call =
            Call { op_type, opset: 19, attributes: &attributes, inputs: &inputs, outputs: 1 };
        resize(&call).map(|outputs| outputs[0].numbers(1))
    }

    fn near(left: &[f64], right: &[f64]) -> bool {
        left.len() == right.len() && left.iter().zip(right).all(|(a, b)| (a - b).abs() < 1e-6)
    }

    #[test]
    fn lines_follow_their_transform() {
        let linear = ("mode", "linear");
        let by = |name: &'static str| [linear, ("coordinate_transformation_mode", name)];
        assert_eq!(run(&[linear], None, Some(2)).unwrap(), [1.5, 3.5]);
        assert_eq!(run(&by("align_corners"), None, Some(2)).unwrap(), [1.0, 4.0]);
        assert_eq!(run(&by("asymmetric"), Some(0.5), None).unwrap(), [1.0, 3.0]);
        assert_eq!(run(&by("pytorch_half_pixel"), None, Some(1)).unwrap(), [1.0]);
        let symmetric = run(&by("half_pixel_symmetric"), Some(0.6), None).unwrap();
        assert!(near(&symmetric, &[1.0 + 2.0 / 3.0, 3.0 + 1.0 / 3.0]), "{symmetric:?}");
        assert!(run(&by("tf_crop_and_resize"), None, Some(2)).is_err());
    }

    #[test]
    fn the_nearest_element_is_taken() {
        // The origins are 0.5 and 2.5.
        let by = |name: &'static str| [("nearest_mode", name)];
        assert_eq!(run(&[], None, Some(2)).unwrap(), [1.0, 3.0]);
        assert_eq!(run(&by("round_prefer_ceil"), None, Some(2)).unwrap(), [2.0, 4.0]);
        assert_eq!(run(&by("floor"), None, Some(2)).unwrap(), [1.0, 3.0]);
        assert_eq!(run(&by("ceil"), None, Some(2)).unwrap(), [2.0, 4.0]);
    }

    #[test]
    fn cubic_weights() {
        let result = run(&[("mode", "cubic")], None, Some(2)).unwrap();
        // Weights -0.09375, 0.59375, 0.59375, -0.09375 over 1, 1, 2, 3 and 2, 3, 4, 4.
        assert!(near(&result, &[1.40625, 3.59375]), "{result:?}");
    }

    #[test]
    fn a_place_that_rounding_decides_is_refused() {
        // The origin of place 1 is 1.5 / 0.6 - 0.5: 2 in f32, and less in f64.
        let floor = [("nearest_mode", "floor"), ("coordinate_transformation_mode", "asymmetric")];
        assert!(run(&floor, Some(0.6), None).is_ok());
        let long = run(&[("nearest_mode", "floor")], Some(0.6), None);
        assert!(long.is_err(), "{long:?}");
        assert_eq!(run(&floor, Some(0.5), None).unwrap(), [1.0, 3.0]);
    }

    #[test]
    fn upsample_repeats() {
        let attributes = BTreeMap::new();
        let row = Tensor::I8(typed(&[2], vec![1, 2]).unwrap());
        let inputs = [Some(row), Some(Tensor::from_f32(&[1], vec![2.0]).unwrap())];
        let op_type = "Upsample";
        let call = Call { op_type, opset: 9, attributes: &attributes, inputs: &inputs, outputs: 1 };
        let result = upsample(&call).unwrap();
        assert_eq!(result[0], Tensor::I8(typed(&[4], vec![1, 1, 2, 2]).unwrap()));
    }

    #[test]
    fn odd_forms_are_refused() {
        assert!(run(&[], None, None).is_err());
        assert!(run(&[], Some(1.0), Some(2)).is_err());
        for scale in [0.0, -1.0, f32::NAN, f32::INFINITY, 1e30] {
            assert!(run(&[], Some(scale), None).is_err(), "{scale}");
        }
        assert!(run(&[], None, Some(-1)).is_err());
        assert!(run(&[], None, Some(1 << 30)).is_err());
        assert!(run(&[("keep_aspect_ratio_policy", "not_larger")], None, Some(2)).is_err());
    }
}
