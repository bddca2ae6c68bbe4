//! Operators that engines compute by other methods than the textbook's, and the error of these methods. The errors are
//! measured on single operators against `f64`, as for `just localize` and `BOUNDS`. The networks and figures are
//! next to each row.

/// An operator that an engine approximates.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Approximation {
    /// The operator's type in ONNX.
    pub op_type: &'static str,
    /// The side of a square kernel with stride 1, if only such kernels are approximated.
    pub kernel: Option<i64>,
    /// The error of the approximation.
    pub error: ApproximationError,
}

/// The error of an approximation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ApproximationError {
    /// The largest distance from the right value.
    Absolute(f64),
    /// As if inputs and weights lost this many units in the last place.
    Units(f64),
}

/// ONNX Runtime 1.32.0 on the processor. Sigmoid on 60,000 numbers from -30 to 30: at most 1.6e-7 off. The error is no
/// smaller in the tail, and equals the whole value there.
pub const ONNX_RUNTIME: &[Approximation] = &[Approximation {
    op_type: "Sigmoid",
    kernel: None,
    error: ApproximationError::Absolute(1.6e-7),
}];

/// MNN 3.6.1 on the processor, which computes convolutions by Winograd's tiles. Measured with 64 and 256 channels of
/// normal numbers. The relative L2 error is 3.2e-6 with kernels of 3, and 1.4e-4 with kernels of 5. One unit in each
/// input and weight causes 1e-7. At the corners of tiles the error is 15 times the usual error; this counts twice here.
/// Sigmoid as above: at most 1.1e-7.
pub const MNN_CPU: &[Approximation] = &[
    Approximation { op_type: "Sigmoid", kernel: None, error: ApproximationError::Absolute(1.1e-7) },
    Approximation { op_type: "Conv", kernel: Some(3), error: ApproximationError::Units(64.0) },
    Approximation { op_type: "Conv", kernel: Some(5), error: ApproximationError::Units(2048.0) },
];
