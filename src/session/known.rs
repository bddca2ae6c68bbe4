//! Operators that an engine is known to compute wrongly for some inputs.
//!
//! A referee checks these operators in the reference in every run. So a lone target cannot pass by sharing the
//! reference's fault. The rows come from `just referee-sweep` (`reports/referee-sweep.md`).

use crate::verdict::Code;

/// The operators of each code.
// a flat table
const KNOWN: &[(Code, &[&str])] = &[
    (Code::Tract, &["MaxPool", "ScatterND", "TopK"]),
    (
        Code::OnnxRuntime,
        &[
            "Elu",
            "Gelu",
            "LRN",
            "LayerNormalization",
            "MeanVarianceNormalization",
            "RNN",
            "ReduceL2",
            "ReduceSum",
            "ReduceSumSquare",
            "Selu",
            "Sigmoid",
            "Swish",
        ],
    ),
    (
        Code::Mnn,
        &[
            "ArgMax",
            "ArgMin",
            "AveragePool",
            "Cast",
            "Clip",
            "ConvTranspose",
            "DynamicQuantizeLinear",
            "Exp",
            "GatherElements",
            "Gelu",
            "GridSample",
            "LeakyRelu",
            "Less",
            "LpPool",
            "Max",
            "MaxPool",
            "Min",
            "Mod",
            "QuantizeLinear",
            "ReduceL1",
            "ReduceL2",
            "ReduceLogSum",
            "ReduceLogSumExp",
            "ReduceMean",
            "ReduceSum",
            "ReduceSumSquare",
            "Relu",
            "Resize",
            "Round",
            "ScatterElements",
            "ScatterND",
            "Shrink",
            "Sigmoid",
            "Sign",
            "Softmax",
            "Softplus",
            "Split",
            "TopK",
        ],
    ),
];

/// Whether this code is known to compute this operator wrongly for some inputs.
pub(super) fn is_known(code: &Code, op_type: &str) -> bool {
    KNOWN.iter().any(|(known, ops)| known == code && ops.contains(&op_type))
}
