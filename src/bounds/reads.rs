//! The elements of the inputs that one output element is computed from, for operators that are no sums.

use super::formula::{Formula, formula};
use crate::kernels::{Call, ReadBox, Rows};
use crate::tensor::{Tensor, multi_index};

/// Finds what elements of a node's first output are computed from.
pub(super) enum Reads {
    /// Each input at the same index, after broadcasting.
    SameIndex(Vec<Option<Vec<usize>>>),
    /// A row of the first input.
    Rows(Rows),
    Unknown,
}

impl Reads {
    /// The rule of a node.
    pub(super) fn of(call: &Call<'_>) -> Self {
        match (formula(call.op_type), Rows::of(call)) {
            (Some(Formula::Once | Formula::Each(_)), _) => {
                let shape = |input: &Option<Tensor>| Some(input.as_ref()?.shape().to_vec());
                Reads::SameIndex(call.inputs.iter().map(shape).collect())
            }
            (_, Some(Ok(rows))) => Reads::Rows(rows),
            _ => Reads::Unknown,
        }
    }

    /// What the element with this index is computed from; empty if offby does not know.
    pub(super) fn boxes(&self, index: &[usize], flat: usize, shape: &[usize]) -> Vec<ReadBox> {
        match self {
            Reads::SameIndex(inputs) => {
                let inputs = inputs.iter().enumerate();
                inputs
                    .filter_map(|(input, extents)| same(input, extents.as_ref()?, index))
                    .collect()
            }
            Reads::Rows(rows) => {
                let row = rows.rows.iter().find(|row| row.places.contains(&flat));
                row.and_then(|row| around(&row.places, shape)).into_iter().collect()
            }
            Reads::Unknown => Vec::new(),
        }
    }
}

/// An index of the output in an input that is broadcast to it.
fn same(input: usize, extents: &[usize], index: &[usize]) -> Option<ReadBox> {
    let lead = index.len().checked_sub(extents.len())?;
    let at = |(at, extent): (&usize, &usize)| if *extent == 1 { 0 } else { *at };
    let at: Vec<usize> = index[lead..].iter().zip(extents).map(at).collect();
    Some(ReadBox { input, from: at.clone(), to: at })
}

/// The box around a row's elements.
fn around(places: &[usize], shape: &[usize]) -> Option<ReadBox> {
    let [first, last] = [places.first()?, places.last()?].map(|place| multi_index(*place, shape));
    Some(ReadBox { input: 0, from: first, to: last })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::flat_index;
    use std::collections::BTreeMap;

    fn boxes(op_type: &str, shapes: &[&[usize]], index: &[usize]) -> Vec<ReadBox> {
        let zeros = |shape: &&[usize]| {
            Some(Tensor::from_f32(shape, vec![0.0; shape.iter().product()]).unwrap())
        };
        let inputs: Vec<Option<Tensor>> = shapes.iter().map(zeros).collect();
        let attributes = BTreeMap::new();
        let call =
            Call { op_type, opset: 13, attributes: &attributes, inputs: &inputs, outputs: 1 };
        Reads::of(&call).boxes(index, flat_index(index, shapes[0]), shapes[0])
    }

    fn read(input: usize, from: &[usize], to: &[usize]) -> ReadBox {
        ReadBox { input, from: from.to_vec(), to: to.to_vec() }
    }

    #[test]
    fn elements_are_read_at_the_same_index_or_as_a_row() {
        let found = boxes("Add", &[&[2, 3, 4], &[3, 1]], &[1, 2, 3]);
        assert_eq!(found, [read(0, &[1, 2, 3], &[1, 2, 3]), read(1, &[2, 0], &[2, 0])]);
        let found = boxes("Softmax", &[&[2, 3, 4]], &[1, 2, 3]);
        assert_eq!(found, [read(0, &[1, 2, 0], &[1, 2, 3])]);
        assert!(boxes("Transpose", &[&[2, 3]], &[1, 2]).is_empty());
    }
}
