//! The origin of the difference between an engine's own CPU and the reference.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The relative difference that an honest kernel in `f32` may have: the table's tolerance of `f32`.
pub const ROUNDING: f64 = 1e-4;

/// The fault that exists before any backend is examined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OriginKind {
    /// The converter changed the network: a constant, an operator or an attribute differs.
    Converter,
    /// The network is the same, and the engine's CPU computes an operator wrongly.
    CpuKernel,
}

/// The node at which an engine's own CPU departs from the reference, and the reason.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Origin {
    /// Whether the converter or the kernel is to blame.
    pub kind: OriginKind,
    /// The ONNX node.
    pub node: String,
    /// The node's ONNX operator type.
    pub op_type: String,
    /// The operator of the engine that carries the difference.
    pub operator: Option<String>,
    /// The tensor or attribute that differs in the converted network.
    pub item: Option<String>,
    /// Relative L2 error that the node introduces; `None` if NaN, infinities or shapes differ.
    pub error: Option<f64>,
    /// The evidence for the finding.
    pub grounds: String,
    /// Whether the outputs agree with those of the engine's own CPU, which are wrong. If not, the backend adds an error
    /// of its own.
    #[serde(default = "yes")]
    pub explains_outputs: bool,
}

fn yes() -> bool {
    true
}

/// An engine's name as its makers spell it.
pub(super) fn spelled(engine: &str) -> &str {
    match engine {
        "mnn" => "MNN",
        "onnxruntime" => "ONNX Runtime",
        other => other,
    }
}

impl Origin {
    /// The finding in one sentence; `engine` is the engine's name.
    pub fn words(&self, engine: &str) -> String {
        let engine = spelled(engine);
        let size = self
            .error
            .map_or(String::new(), |error| format!("; that is a relative error of {error:.2e}"));
        let (node, op_type, grounds) = (&self.node, &self.op_type, &self.grounds);
        match self.kind {
            OriginKind::Converter => format!(
                "the converter changed the network at `{node}` ({op_type}): {grounds}{size}, before any backend runs"
            ),
            OriginKind::CpuKernel => format!(
                "CPU kernel: {engine}'s CPU computes `{node}` ({op_type}) wrongly: {grounds}{size}"
            ),
        }
    }
}
