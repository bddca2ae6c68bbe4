//! Longer inputs, and the part of their results that belongs to the shorter ones.

use crate::graph::{Dim, ValueInfo, ValueName};
use crate::tensor::{Tensor, flat_index, multi_index};
use std::collections::BTreeSet;
use std::str::FromStr;

/// An open axis, and the length to which zeros pad it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Padding {
    /// The axis as the network's file names it.
    pub axis: String,
    /// The length with zeros.
    pub length: usize,
}

impl FromStr for Padding {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('=').and_then(|(axis, length)| {
            let length = length.trim().parse().ok()?;
            Some(Padding { axis: axis.trim().to_owned(), length })
        });
        parts
            .filter(|padding| !padding.axis.is_empty())
            .ok_or_else(|| "give an axis and a length, as in sequence=32".to_owned())
    }
}

impl Padding {
    /// The values of inputs with zeros at the end of the axis.
    ///
    /// # Errors
    /// If no input has the axis, or an input is already as long.
    pub fn pad(
        &self,
        inputs: &[ValueInfo],
        values: &[(&ValueName, &Tensor)],
    ) -> Result<Vec<Tensor>, String> {
        let mut is_found = false;
        let padded = values.iter().map(|(name, tensor)| {
            let mut shape = tensor.shape().to_vec();
            for axis in self.axes(inputs, name) {
                is_found = true;
                let Some(extent) = shape.get_mut(axis) else { continue };
                if *extent >= self.length {
                    return Err(format!("input `{name}` is already {extent} long there"));
                }
                *extent = self.length;
            }
            Ok(resized(tensor, &shape).unwrap_or_else(|| (*tensor).clone()))
        });
        let padded = padded.collect::<Result<Vec<_>, String>>()?;
        match is_found {
            true => Ok(padded),
            false => Err(format!("the open axes of the inputs are {}", open_axes(inputs))),
        }
    }

    /// The places of the axis in an input.
    fn axes(&self, inputs: &[ValueInfo], name: &ValueName) -> Vec<usize> {
        let shape = inputs.iter().find(|input| input.name == *name).and_then(|i| i.shape.as_ref());
        let is_padded = |dim: &Dim| matches!(dim, Dim::Symbol(symbol) if *symbol == self.axis);
        let axes = shape.into_iter().flatten().enumerate();
        axes.filter(|(_, dim)| is_padded(dim)).map(|(axis, _)| axis).collect()
    }
}

fn open_axes(inputs: &[ValueInfo]) -> String {
    let dims = inputs.iter().flat_map(|input| input.shape.iter().flatten());
    let names: BTreeSet<String> = dims
        .filter_map(|dim| match dim {
            Dim::Symbol(name) => Some(format!("`{name}`")),
            Dim::Known(_) => None,
        })
        .collect();
    match names.is_empty() {
        true => "none: all have fixed lengths".into(),
        false => names.into_iter().collect::<Vec<_>>().join(", "),
    }
}

/// A tensor of another shape with as many axes: the first elements of each axis, and zeros after them.
pub fn resized(tensor: &Tensor, shape: &[usize]) -> Option<Tensor> {
    if tensor.shape().len() != shape.len() {
        return None;
    }
    let size = tensor.dtype().size();
    let mut bytes = vec![0; shape.iter().product::<usize>() * size];
    for (flat, element) in tensor.bytes().chunks_exact(size).enumerate() {
        let index = multi_index(flat, tensor.shape());
        if index.iter().zip(shape).all(|(at, extent)| at < extent) {
            let place = flat_index(&index, shape);
            bytes[place * size..(place + 1) * size].copy_from_slice(element);
        }
    }
    Tensor::from_bytes(tensor.dtype(), shape, &bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_padded_tensor_is_cut_back_to_itself() {
        let tensor = Tensor::from_f32(&[2, 2], vec![1.0, 2.0, 3.0, 4.0]).unwrap();
        let padded = resized(&tensor, &[2, 3]).unwrap();
        assert_eq!(padded, Tensor::from_f32(&[2, 3], vec![1.0, 2.0, 0.0, 3.0, 4.0, 0.0]).unwrap());
        assert_eq!(resized(&padded, &[2, 2]), Some(tensor.clone()));
        assert_eq!(resized(&tensor, &[4]), None);
    }

    #[test]
    fn a_padding_is_an_axis_and_a_length() {
        let padding = Padding { axis: "sequence".into(), length: 32 };
        assert_eq!("sequence=32".parse(), Ok(padding));
        for wrong in ["sequence", "=3", "sequence=x", ""] {
            assert!(wrong.parse::<Padding>().is_err(), "{wrong}");
        }
    }
}
