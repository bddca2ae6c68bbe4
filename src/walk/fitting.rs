//! A dumped value in the form that the network gives it: devices keep their own layouts and element types.

use super::error_summary::error_summary;
use crate::tensor::{Dtype, Tensor, narrowed};
use crate::with_array;

/// If a tensor has no shape, its channels are last if this makes the relative L2 distance so many times smaller.
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
/// Devices keep the channels last, leave out axes of length 1, dump 16-bit tensors, and dump elements without a shape
/// (`is_flat`). Only elements without a shape are put into the order that is nearer to the reference: a shape that fits
/// is believed, because a value in the wrong order may be the fault.
pub fn fitted(dumped: &Tensor, is_flat: bool, reference: &Tensor) -> Option<Fitted> {
    let dumped = in_type(dumped, reference.dtype())?;
    let first = |tensor: Tensor| Fitted { tensor, channels_last: false };
    let last = |tensor: Tensor| Fitted { tensor, channels_last: true };
    if !is_flat {
        let as_is = (dumped.shape() == reference.shape()).then(|| dumped.clone());
        let as_is = as_is.or_else(|| dumped.in_shape_of(reference)).map(first);
        return as_is.or_else(|| channels_first(&dumped, reference.shape()).map(last));
    }
    let shaped = |shape: &[usize]| Tensor::from_bytes(dumped.dtype(), shape, &dumped.bytes()).ok();
    let as_is = first(shaped(reference.shape())?);
    let turned = channels_last(reference.shape()).and_then(|shape| shaped(&shape));
    match turned.and_then(|turned| channels_first(&turned, reference.shape())).map(last) {
        Some(last) => Some(nearer(as_is, last, reference)),
        None => Some(as_is),
    }
}

/// The value with its channels last, if its shape fits either order and that order is nearer to the reference: for dumps
/// whose other values have their channels last.
pub fn fitted_last(dumped: &Tensor, reference: &Tensor) -> Option<Fitted> {
    if Order::of(dumped, reference) != Order::Either {
        return None;
    }
    let dumped = in_type(dumped, reference.dtype())?;
    let last = channels_first(&dumped, reference.shape())?;
    let as_is = Fitted { tensor: dumped, channels_last: false };
    Some(nearer(as_is, Fitted { tensor: last, channels_last: true }, reference))
}

/// Which order of axes the shape of a dumped picture shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// The network's.
    First,
    /// The channels are last.
    Last,
    /// Its extents are the same in both.
    Either,
    /// It has fewer than four axes, or other extents.
    None,
}

impl Order {
    pub(super) fn of(dumped: &Tensor, reference: &Tensor) -> Self {
        let [found, right] = [dumped.shape(), reference.shape()];
        if found.len() < 4 || found.len() != right.len() {
            return Order::None;
        }
        match (found == right, channels_last(right).as_deref() == Some(found)) {
            (true, true) => Order::Either,
            (true, false) => Order::First,
            (false, true) => Order::Last,
            (false, false) => Order::None,
        }
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
        let dumped = fitted(&counted(&[1, 2, 4, 3]), false, &reference).unwrap();
        assert!(dumped.channels_last);
        assert_eq!(dumped.tensor.shape(), [1, 3, 2, 4]);
        assert_eq!(dumped.tensor.numbers(1)[..3], [0.0, 3.0, 6.0]);
        let squeezed = fitted(&counted(&[3, 2, 4]), false, &reference).unwrap();
        assert_eq!(squeezed.tensor.numbers(1)[1], 1.0);
        assert!(fitted(&counted(&[1, 3, 8]), false, &reference).is_none());
        // A flattened value of an engine that knows shapes has the wrong shape.
        assert!(fitted(&counted(&[24]), false, &reference).is_none());
        assert!(fitted(&counted(&[23]), true, &reference).is_none());
        let half = counted(&[2]).exactly(Dtype::F16).unwrap();
        assert_eq!(fitted(&half, false, &counted(&[2])).unwrap().tensor.dtype(), Dtype::F32);
    }

    #[test]
    fn values_decide_the_order_of_elements_without_a_shape() {
        for shape in [vec![1, 3, 3, 3], vec![2, 3, 4]] {
            let reference = counted(&shape);
            let rank = shape.len();
            let axes: Vec<usize> = [0].into_iter().chain(2..rank).chain([1]).collect();
            let Tensor::F32(array) = &reference else { panic!("not f32") };
            let last = array.view().permuted_axes(axes).as_standard_layout().into_owned();
            let flat = |array: &ndarray::ArrayD<f32>| {
                Tensor::from_f32(&[array.len()], array.iter().copied().collect()).unwrap()
            };
            let found = fitted(&flat(&last), true, &reference).unwrap();
            assert!(found.channels_last && found.tensor == reference);
            let found = fitted(&flat(array), true, &reference).unwrap();
            assert!(!found.channels_last && found.tensor == reference);
            // A value that is wrong in either order keeps the network's order.
            let wrong = array.mapv(|value| 13.0 - value);
            assert!(!fitted(&flat(&wrong), true, &reference).unwrap().channels_last);
        }
        let square = counted(&[1, 3, 3, 3]);
        let Tensor::F32(array) = &square else { panic!("not f32") };
        let last = array.view().permuted_axes(vec![0, 2, 3, 1]).as_standard_layout().into_owned();
        let last = Tensor::F32(last);
        // A shape that fits is believed: here the order is the fault.
        let found = fitted(&last, false, &square).unwrap();
        assert!(!found.channels_last && found.tensor != square);
        // Unless the other values of the dump have their channels last.
        assert_eq!(Order::of(&last, &square), Order::Either);
        assert!(fitted_last(&last, &square).is_some_and(|found| found.tensor == square));
        assert!(!fitted_last(&square, &square).unwrap().channels_last);
        assert_eq!(Order::of(&counted(&[1, 4, 4, 3]), &counted(&[1, 3, 4, 4])), Order::Last);
        assert_eq!(Order::of(&counted(&[1, 3, 4, 4]), &counted(&[1, 3, 4, 4])), Order::First);
    }
}
