//! What engines compute by other means than the textbook's, and what that costs: measured on single operators against
//! `f64`, as `just localize` and `BOUNDS` are; the networks and figures are beside each row.

/// An operator that an engine approximates.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Approximation {
    /// Its type in ONNX.
    pub op_type: &'static str,
    /// The side of a square kernel that moves by one, if only that is approximated.
    pub kernel: Option<i64>,
    /// What it costs.
    pub error: ApproximationError,
}

/// The error of an approximation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ApproximationError {
    /// At most so far from the right value.
    Absolute(f64),
    /// As if inputs and weights had so many units in the last place less.
    Units(f64),
}

/// ONNX Runtime 1.32.0 on the processor. Sigmoid on 60,000 numbers from -30 to 30: at most 1.6e-7 off, and no nearer in
/// its tail, where that is the whole value.
pub const ONNX_RUNTIME: &[Approximation] = &[Approximation {
    op_type: "Sigmoid",
    kernel: None,
    error: ApproximationError::Absolute(1.6e-7),
}];

/// MNN 3.6.1 on the processor, which computes convolutions by Winograd's tiles. 64 and 256 channels of normal numbers:
/// a relative L2 error of 3.2e-6 with kernels of 3 and 1.4e-4 with kernels of 5, where one unit in each input and weight
/// makes 1e-7; at the corners of tiles the error is 15 times the usual one, which counts twice here.
/// Sigmoid as above: at most 1.1e-7.
pub const MNN_CPU: &[Approximation] = &[
    Approximation { op_type: "Sigmoid", kernel: None, error: ApproximationError::Absolute(1.1e-7) },
    Approximation { op_type: "Conv", kernel: Some(3), error: ApproximationError::Units(64.0) },
    Approximation { op_type: "Conv", kernel: Some(5), error: ApproximationError::Units(2048.0) },
];
