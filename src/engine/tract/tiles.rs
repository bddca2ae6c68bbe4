//! Large convolutions in tiles. tract unfolds the whole input of a convolution into one matrix, which is as many
//! times larger than the input as the kernel has elements. Bands of output rows need a part of that memory, and each
//! element is the same sum as before.

use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::EvalOp as _;
use tract_onnx::tract_core::ops::cnn::{Conv, PaddingSpec};

/// The most bytes of an unfolded input. Below, one tile is faster; it is less than most networks use anyway.
const MOST_BYTES: usize = 64 << 20;

/// A convolution's output in bands of rows; `None` if the node is none, or small, or quantized.
pub(super) fn in_tiles(
    node: &TypedNode,
    inputs: &TVec<TValue>,
) -> TractResult<Option<TVec<TValue>>> {
    let Some(conv) = node.op_as::<Conv>().filter(|conv| conv.q_params.is_none()) else {
        return Ok(None);
    };
    match TilePlan::of(conv, &inputs[0], MOST_BYTES)? {
        Some(plan) => Ok(Some(tvec![plan.run(conv, inputs)?.into_tvalue()])),
        None => Ok(None),
    }
}

/// How the first spatial axis of a convolution is divided.
struct TilePlan {
    axis: usize,
    /// The rows of the output, and how many of them one band has.
    rows: usize,
    band: usize,
    /// The rows of the input.
    extent: usize,
    stride: usize,
    /// The input rows that one output row reads, with the gaps between them.
    reach: usize,
    /// The padding of each spatial axis.
    before: TVec<usize>,
    after: TVec<usize>,
}

impl TilePlan {
    /// Bands whose unfolded input has at most so many bytes; `None` if the whole has not more.
    fn of(conv: &Conv, input: &TValue, most: usize) -> TractResult<Option<Self>> {
        let spec = &conv.pool_spec;
        let shape = spec.data_format.shape(input.shape())?;
        let padding = spec.computed_padding(shape.hw_dims());
        let positions: usize = padding.iter().map(|axis| axis.convoluted).product();
        let kernel: usize = spec.kernel_shape.iter().product();
        let images = shape.n().copied().unwrap_or(1);
        let bytes =
            images * spec.input_channels * kernel * positions * input.datum_type().size_of();
        let Some(rows) = padding.first().map(|axis| axis.convoluted) else { return Ok(None) };
        let reach = (spec.kernel_shape[0] - 1) * spec.dilation(0) + 1;
        // A row that reads padding alone would need a band without input.
        let only_padding = padding[0].pad_before >= reach || padding[0].pad_after >= reach;
        if bytes <= most || rows < 2 || only_padding {
            return Ok(None);
        }
        Ok(Some(TilePlan {
            axis: shape.h_axis(),
            rows,
            band: (rows * most / bytes).max(1),
            extent: shape.hw_dims()[0],
            stride: spec.stride(0),
            reach,
            before: padding.iter().map(|axis| axis.pad_before).collect(),
            after: padding.iter().map(|axis| axis.pad_after).collect(),
        }))
    }

    fn run(&self, conv: &Conv, inputs: &TVec<TValue>) -> TractResult<Tensor> {
        let mut bands = Vec::new();
        for first in (0..self.rows).step_by(self.band) {
            let last = (first + self.band).min(self.rows);
            let (tile, input) = self.tile(conv, &inputs[0], first, last)?;
            let mut given = inputs.clone();
            given[0] = input.into_tvalue();
            let outputs = tile.eval_out_of_plan(given)?;
            let output = outputs.and_then(|outputs| outputs.into_iter().next());
            let output = output.ok_or_else(|| TractError::msg("a band has no output"))?;
            bands.push(output.into_tensor());
        }
        Tensor::stack_tensors(self.axis, &bands)
    }

    /// The convolution of the output rows from `first` up to `last`, and the input that it reads.
    fn tile(
        &self,
        conv: &Conv,
        input: &TValue,
        first: usize,
        last: usize,
    ) -> TractResult<(Conv, Tensor)> {
        // Positions count from the first row of padding.
        let (from, to) = (first * self.stride, (last - 1) * self.stride + self.reach);
        let pad = self.before[0];
        let start = from.saturating_sub(pad).min(self.extent);
        let end = to.saturating_sub(pad).clamp(start, self.extent);
        let (mut before, mut after) = (self.before.clone(), self.after.clone());
        before[0] = pad.saturating_sub(from).min(to - from);
        after[0] = (to - from) - before[0] - (end - start);
        let mut tile = conv.clone();
        tile.pool_spec.padding = PaddingSpec::Explicit(before, after);
        Ok((tile, input.slice(self.axis, start, end)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tract_onnx::tract_core::ops::cnn::{KernelFormat, PoolSpec};
    use tract_onnx::tract_core::ops::nn::DataFormat;

    /// Bands of every height give the bytes of the whole, with strides, dilations and padding.
    #[test]
    fn bands_are_the_whole() {
        for (stride, dilation, pad) in
            [(1, 1, [1, 1]), (2, 1, [0, 2]), (1, 2, [2, 1]), (3, 2, [4, 0]), (1, 1, [2, 2])]
        {
            let spec = PoolSpec {
                data_format: DataFormat::NCHW,
                kernel_shape: tvec![3, 2],
                padding: PaddingSpec::Explicit(tvec![pad[0], 1], tvec![pad[1], 0]),
                dilations: Some(tvec![dilation, 1]),
                strides: Some(tvec![stride, 1]),
                input_channels: 4,
                output_channels: 2,
            };
            let conv =
                Conv { pool_spec: spec, kernel_fmt: KernelFormat::OIHW, group: 1, q_params: None };
            let values = |shape: &[usize]| -> TValue {
                let count = shape.iter().product::<usize>();
                let numbers: Vec<f32> = (0..count).map(|at| (at as f32 * 0.7).sin()).collect();
                Tensor::from_shape(shape, &numbers).unwrap().into_tvalue()
            };
            let inputs = tvec![values(&[1, 4, 11, 5]), values(&[2, 4, 3, 2]), values(&[2])];
            let whole = conv.eval_out_of_plan(inputs.clone()).unwrap().unwrap().remove(0);
            let rows = whole.shape()[2];
            let of_row = 4 * 6 * 5 * size_of::<f32>();
            for band in 1..rows {
                let plan = TilePlan::of(&conv, &inputs[0], band * of_row).unwrap().unwrap();
                assert_eq!((plan.band, plan.rows), (band, rows));
                assert_eq!(plan.run(&conv, &inputs).unwrap(), *whole, "{stride} {dilation} {band}");
            }
        }
    }
}
