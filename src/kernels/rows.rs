//! The rows of operators that work on many elements at once: softmax and the norms. Each row has
//! one maximum, one sum or one mean.

use super::broadcast::spread;
use super::call::Reals;
use super::lanes::AxisLanes;
use super::norm::{channel_scales, epsilon, group_count};
use super::number::floats;
use super::{Call, Refused};

/// Elements that are computed together.
#[derive(Debug, Clone, PartialEq)]
pub struct ElementRow {
    /// The flat positions of the elements, equal in input and output.
    pub places: Vec<usize>,
    /// The elements of the input.
    pub values: Vec<f64>,
}

/// All rows of a node.
#[derive(Debug, Clone, PartialEq)]
pub struct Rows {
    /// The rows; together they form the whole tensor.
    pub rows: Vec<ElementRow>,
    /// The factor of each element after normalization; empty for 1.
    pub scale: Vec<f64>,
    /// The term added after scaling; empty for 0.
    pub bias: Vec<f64>,
    /// The term added to the variance.
    pub epsilon: f64,
}

impl Rows {
    /// The rows of a node; `None` if its type has no rows.
    pub fn of(call: &Call<'_>) -> Option<Result<Self, Refused>> {
        match call.op_type {
            "Softmax" | "LogSoftmax" => Some(along(call)),
            "LayerNormalization" | "RMSNormalization" | "SimplifiedLayerNormalization" => {
                Some(last_axes(call))
            }
            "InstanceNormalization" | "GroupNormalization" => Some(grouped(call)),
            _ => None,
        }
    }
}

fn along(call: &Call<'_>) -> Result<Rows, Refused> {
    let input = floats(call, 0)?;
    let lanes = match call.opset < 13 {
        true => AxisLanes::from(&input.shape, call.int("axis").unwrap_or(1))?,
        false => AxisLanes::along(&input.shape, call.int("axis").unwrap_or(-1))?,
    };
    Ok(Rows { rows: split(&lanes, &input), scale: vec![], bias: vec![], epsilon: 0.0 })
}

fn last_axes(call: &Call<'_>) -> Result<Rows, Refused> {
    let input = floats(call, 0)?;
    let lanes = AxisLanes::from(&input.shape, call.int("axis").unwrap_or(-1))?;
    let wide = |place| {
        let given: Reals = floats(call, place)?;
        spread(&given.values, &given.shape, &input.shape)
    };
    let bias = if call.input(2).is_some() { wide(2)? } else { Vec::new() };
    Ok(Rows { rows: split(&lanes, &input), scale: wide(1)?, bias, epsilon: epsilon(call) })
}

fn grouped(call: &Call<'_>) -> Result<Rows, Refused> {
    let input = floats(call, 0)?;
    let groups = group_count(call)?;
    let outer = input.shape[0] * groups;
    let lanes =
        AxisLanes { outer, extent: input.values.len().checked_div(outer).unwrap_or(0), inner: 1 };
    let [scale, bias] = [channel_scales(call, 1)?, channel_scales(call, 2)?];
    Ok(Rows { rows: split(&lanes, &input), scale, bias, epsilon: epsilon(call) })
}

fn split(lanes: &AxisLanes, input: &Reals) -> Vec<ElementRow> {
    let lane = |number: usize| {
        let (outer, inner) = (number / lanes.inner, number % lanes.inner);
        let place = |step: usize| (outer * lanes.extent + step) * lanes.inner + inner;
        let places: Vec<usize> = (0..lanes.extent).map(place).collect();
        let values = places.iter().map(|&place| input.values[place]).collect();
        ElementRow { places, values }
    };
    let lanes_there = if input.values.is_empty() { 0 } else { lanes.outer * lanes.inner };
    (0..lanes_there).map(lane).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::Tensor;
    use std::collections::BTreeMap;

    #[test]
    fn rows_of_a_softmax_run_along_its_axis() {
        let input = Tensor::from_f32(&[2, 3], vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).unwrap();
        let attributes = BTreeMap::from([("axis".to_owned(), crate::graph::Attribute::Int(0))]);
        let inputs = [Some(input)];
        let call = Call {
            op_type: "Softmax",
            opset: 13,
            attributes: &attributes,
            inputs: &inputs,
            outputs: 1,
        };
        let rows = Rows::of(&call).unwrap().unwrap().rows;
        assert_eq!(rows.len(), 3);
        assert_eq!((&rows[1].places[..], &rows[1].values[..]), (&[1, 4][..], &[2.0, 5.0][..]));
    }
}
