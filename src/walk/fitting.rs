//! A dumped value in the form that the network gives it: devices keep their own layouts and element types.

use super::error_summary::error_summary;
use crate::tensor::{Dtype, Tensor, narrowed};
use crate::with_array;

/// If a shape fits both orders of axes, the channels are last if this makes the relative L2 distance so many times smaller.
/// Values in the wrong order are about as far from the reference as they are large, and a device with 8 significant
/// bits (`bf16`) is nearer than 1/256.
const NEARER: f64 = 10.0;

/// A dumped value in the reference's shape and element type.
pub struct Fitted {
    /// The value.
    pub tensor: Tensor,
    /// Whether the dump has its channels last.
    pub channels_last: bool,
}

/// A dumped value in the reference's shape and element type; `None` if it has other elements.
///
/// Devices keep the channels last, leave out axes of length 1, dump 16-bit tensors, and dump elements without a shape. If
/// the shape leaves the order of the axes open, the order that is nearer to the reference is taken.
pub fn fitted(dumped: &Tensor, reference: &Tensor) -> Option<Fitted> {
    let dumped = in_type(dumped, reference.dtype())?;
    let count = |tensor: &Tensor| tensor.shape().iter().product::<usize>();
    let is_flat = dumped.shape().len() == 1 && count(&dumped) == count(reference);
    let as_is = match is_flat || dumped.shape() == reference.shape() {
        true => Tensor::from_bytes(dumped.dtype(), reference.shape(), &dumped.bytes()).ok(),
        false => dumped.in_shape_of(reference),
    };
    let last = match is_flat {
        true => channels_last(reference.shape()).and_then(|shape| {
            let tensor = Tensor::from_bytes(dumped.dtype(), &shape, &dumped.bytes()).ok()?;
            channels_first(&tensor, reference.shape())
        }),
        false => channels_first(&dumped, reference.shape()),
    };
    let as_is = as_is.map(|tensor| Fitted { tensor, channels_last: false });
    let last = last.map(|tensor| Fitted { tensor, channels_last: true });
    match (as_is, last) {
        (Some(as_is), Some(last)) => Some(nearer(as_is, last, reference)),
        (as_is, last) => as_is.or(last),
    }
}

fn in_type(dumped: &Tensor, wanted: Dtype) -> Option<Tensor> {
    match (dumped.dtype(), wanted) {
        (found, wanted) if found == wanted => Some(dumped.clone()),
        (Dtype::F64, Dtype::F32) => Some(narrowed(dumped.clone(), wanted)),
        _ => dumped.exactly(wanted).ok(),
    }
}

fn nearer(as_is: Fitted, last: Fitted, reference: &Tensor) -> Fitted {
    let distance = |fitted: &Fitted| {
        error_summary(reference, &fitted.tensor).map_or(f64::INFINITY, |error| error.rel_l2)
    };
    if distance(&last) * NEARER < distance(&as_is) { last } else { as_is }
}

/// The shape with the axis of the channels at its end; `None` if there are no axes behind the channels.
fn channels_last(shape: &[usize]) -> Option<Vec<usize>> {
    let [batch, channels, rest @ ..] = shape else { return None };
    (!rest.is_empty()).then(|| [&[*batch], rest, &[*channels]].concat())
}

/// The tensor with its last axis moved behind the first, if that gives the shape.
fn channels_first(tensor: &Tensor, shape: &[usize]) -> Option<Tensor> {
    let rank = tensor.shape().len();
    if rank < 3 || rank != shape.len() {
        return None;
    }
    let axes: Vec<usize> = [0, rank - 1].into_iter().chain(1..rank - 1).collect();
    let moved: Vec<usize> = axes.iter().map(|&axis| tensor.shape()[axis]).collect();
    (moved == shape).then(|| {
        with_array!(tensor, array => {
            let permuted = array.view().permuted_axes(axes);
            Tensor::from(permuted.as_standard_layout().into_owned())
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(shape: &[usize]) -> Tensor {
        let count = shape.iter().product::<usize>();
        Tensor::from_f32(shape, (0..count).map(|i| i as f32).collect()).unwrap()
    }

    #[test]
    fn layouts_of_devices_are_understood() {
        let reference = counted(&[1, 3, 2, 4]);
        let dumped = fitted(&counted(&[1, 2, 4, 3]), &reference).unwrap();
        assert!(dumped.channels_last);
        assert_eq!(dumped.tensor.shape(), [1, 3, 2, 4]);
        assert_eq!(dumped.tensor.numbers(1)[..3], [0.0, 3.0, 6.0]);
        assert_eq!(fitted(&counted(&[3, 2, 4]), &reference).unwrap().tensor.numbers(1)[1], 1.0);
        assert!(fitted(&counted(&[1, 3, 8]), &reference).is_none());
        let half = counted(&[2]).exactly(Dtype::F16).unwrap();
        assert_eq!(fitted(&half, &counted(&[2])).unwrap().tensor.dtype(), Dtype::F32);
    }

    #[test]
    fn values_decide_what_a_shape_leaves_open() {
        for shape in [vec![1, 3, 3, 3], vec![2, 3, 4]] {
            let reference = counted(&shape);
            let rank = shape.len();
            let axes: Vec<usize> = [0].into_iter().chain(2..rank).chain([1]).collect();
            let Tensor::F32(array) = &reference else { panic!("not f32") };
            let last = array.view().permuted_axes(axes).as_standard_layout().into_owned();
            let flat = |array: &ndarray::ArrayD<f32>| {
                Tensor::from_f32(&[array.len()], array.iter().copied().collect()).unwrap()
            };
            let found = fitted(&flat(&last), &reference).unwrap();
            assert!(found.channels_last && found.tensor == reference);
            let found = fitted(&flat(array), &reference).unwrap();
            assert!(!found.channels_last && found.tensor == reference);
            // A value that is wrong in either order keeps the order of its shape.
            let wrong = Tensor::F32(array.mapv(|value| 13.0 - value));
            assert!(!fitted(&wrong, &reference).unwrap().channels_last);
        }
        let square = counted(&[1, 3, 3, 3]);
        let Tensor::F32(array) = &square else { panic!("not f32") };
        let last = array.view().permuted_axes(vec![0, 2, 3, 1]).as_standard_layout().into_owned();
        let found = fitted(&Tensor::F32(last), &square).unwrap();
        assert!(found.channels_last && found.tensor == square);
    }
}
