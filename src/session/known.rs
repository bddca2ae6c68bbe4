//! Operators that an engine is known to compute wrongly for some inputs.
//!
//! A referee checks them in the reference whatever the targets say, so that a lone target cannot pass by
//! sharing the reference's fault. The rows come from `just referee-sweep` (`reports/referee-sweep.md`).

use crate::verdict::Code;

/// The operators, for each code.
// a flat table
const KNOWN: &[(Code, &[&str])] = &[
    (Code::Tract, &["Attention", "LayerNormalization", "ReduceLogSum", "ReduceSum", "ReduceMean"]),
    (
        Code::Mnn,
        &["Cast", "Mod", "QuantizeLinear", "ReduceLogSumExp", "Relu", "Round", "Softmax", "TopK"],
    ),
    (Code::OnnxRuntime, &["Sigmoid"]),
];

/// Whether this code is known to compute this operator wrongly for some inputs.
pub(super) fn is_known(code: &Code, op_type: &str) -> bool {
    KNOWN.iter().any(|(known, ops)| known == code && ops.contains(&op_type))
}
