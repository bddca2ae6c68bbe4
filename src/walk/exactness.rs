//! How far two honest implementations of an operator may differ in `f32`. Moved or chosen values do not differ. An
//! element from one addition or product may differ by one rounding. Sums in a different order and fast functions may
//! differ by more.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How exactly an operator is defined: the most exact class first.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub enum Exactness {
    /// Values are moved or chosen, or are whole numbers. The result is exact.
    #[serde(rename = "moves")]
    Exact,
    /// Each element is rounded once, as IEEE 754 requires.
    #[serde(rename = "once")]
    CorrectlyRounded,
    /// Sums, and approximated functions.
    #[serde(rename = "free")]
    Approximate,
}

/// Operators that move or choose values, or whose result is a whole number, as ONNX and MNN name them.
const MOVES: &[&str] = &[
    "And",
    "ArgMax",
    "ArgMin",
    "Ceil",
    "Compress",
    "Concat",
    "DepthToSpace",
    "Equal",
    "Expand",
    "Flatten",
    "Floor",
    "Gather",
    "GatherElements",
    "GatherND",
    "Greater",
    "GreaterOrEqual",
    "Identity",
    "IsInf",
    "IsNaN",
    "Less",
    "LessOrEqual",
    "MaxPool",
    "NonZero",
    "Not",
    "OneHot",
    "Or",
    "Pad",
    "QuantizeLinear",
    "Raster",
    "ReduceMax",
    "ReduceMin",
    "Reshape",
    "Round",
    "Sign",
    "Slice",
    "SpaceToDepth",
    "Split",
    "Squeeze",
    "Tile",
    "TopK",
    "Transpose",
    "Unsqueeze",
    "Where",
    "Xor",
];

/// Operators whose elements are one sum, product or choice of two operands each, as ONNX names them. MNN's `BinaryOp`
/// also covers many others.
const ONCE: &[&str] = &["Abs", "Add", "Clip", "Max", "Min", "Mul", "Neg", "Relu", "Sub"];

impl Exactness {
    /// The exactness of an operator type.
    pub fn of(op_type: &str) -> Self {
        if MOVES.contains(&op_type) {
            Exactness::Exact
        } else if ONCE.contains(&op_type) {
            Exactness::CorrectlyRounded
        } else {
            Exactness::Approximate
        }
    }
}
