//! offby's own kernels: ONNX operators computed in `f64`, written from the text of the standard.
//!
//! The kernels share no code with any engine. So a kernel can check an engine's operator, and can
//! replace an operator that tract computes wrongly. The kernels are direct and slow: a sum is one loop.
//!
//! Floating-point inputs of any width are widened to `f64`, and floating-point results are `f64`.
//! Rounding to the type that the network stores is the caller's choice.

mod activation;
mod addends;
mod attention;
mod binary;
mod broadcast;
mod call;
mod cast;
mod constant;
mod conv;
mod conv_transpose;
mod einsum;
mod gather;
mod grid_sample;
mod lanes;
mod layout;
mod matmul;
mod movement;
mod norm;
mod number;
mod order;
mod pool;
mod power;
mod quantize;
mod recurrent;
mod reduce;
mod resize;
mod resize_axis;
mod rows;
mod scatter;
mod slice;
mod softmax;
mod sum;
mod unary;
mod window;

pub use addends::{ReadBox, SumOperator};
pub(crate) use call::Kernel;
pub use call::{Call, Refused};
pub use rows::{ElementRow, Rows};

use crate::tensor::Tensor;

/// The tables of all kernels, one for each kind of operator.
const TABLES: &[&[(&str, Kernel)]] = &[
    attention::ATTENTION,
    binary::BINARY,
    constant::CONSTANT,
    conv::CONV,
    conv_transpose::CONV_TRANSPOSE,
    einsum::EINSUM,
    gather::GATHER,
    grid_sample::GRID_SAMPLE,
    matmul::MATMUL,
    movement::MOVEMENT,
    norm::NORM,
    pool::POOL,
    quantize::QUANTIZE,
    recurrent::RECURRENT,
    reduce::REDUCE,
    resize::RESIZE,
    scatter::SCATTER,
    slice::SLICE,
    softmax::SOFTMAX,
    unary::UNARY,
];

/// The kernel of an ONNX operator type; `None` if offby has none.
pub(crate) fn kernel(op_type: &str) -> Option<Kernel> {
    let mut rows = TABLES.iter().flat_map(|table| table.iter());
    rows.find(|(name, _)| *name == op_type).map(|(_, kernel)| *kernel)
}

/// Whether offby has a kernel for this ONNX operator type.
pub fn has_kernel(op_type: &str) -> bool {
    kernel(op_type).is_some()
}

/// The outputs of a node; `None` if offby has no kernel for its type.
pub fn compute(call: &Call<'_>) -> Option<Result<Vec<Tensor>, Refused>> {
    kernel(call.op_type).map(|kernel| kernel(call))
}

/// Whether each element of the result depends on the element at the same place of the first input alone, and both are
/// floating-point numbers. Such a node can be computed in pieces.
pub(crate) fn is_elementwise(op_type: &str) -> bool {
    const OF_OTHER_TYPES: [&str; 4] = ["BitwiseNot", "IsInf", "IsNaN", "Not"];
    unary::UNARY.iter().any(|(name, _)| *name == op_type) && !OF_OTHER_TYPES.contains(&op_type)
}

/// The part of a node's result that ONNX leaves open on these inputs, if there is one. offby's kernels then follow
/// numpy, and other implementations may differ: ONNX Runtime's ReduceMax keeps a NaN only in the first place.
pub fn left_open(op_type: &str, inputs: &[Option<Tensor>]) -> Option<&'static str> {
    const EXTREMES: [&str; 7] =
        ["ArgMax", "ArgMin", "GlobalMaxPool", "MaxPool", "ReduceMax", "ReduceMin", "TopK"];
    let first = inputs.first()?.as_ref().filter(|_| EXTREMES.contains(&op_type))?;
    let has_nan = first.dtype().is_float() && first.numbers(1).iter().any(|value| value.is_nan());
    has_nan.then_some("the extreme of numbers that include NaN")
}

/// The elements of a tensor, broadcast to a shape; `None` if the tensor does not broadcast to it.
pub fn broadcast_to(tensor: &Tensor, shape: &[usize]) -> Option<Vec<f64>> {
    broadcast::spread(&tensor.numbers(1), tensor.shape(), shape).ok()
}
