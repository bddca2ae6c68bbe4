//! The debug networks of the seed, rebuilt: same operators and shapes, seeded weights.
//!
//! Weights come from integers by `+ - * /` and `libm` alone. Where the seed prints a value, one
//! constant on its way is solved for, so that the same value comes out; the rest is seeded.

mod efficientformer;
mod gelu;
mod levit;
mod mobilevit;
mod norm;
mod resnet;
mod weights;

use offby::graph::Network;

/// One debug network and the case of the seed it was rebuilt from.
pub(crate) struct DebugNetwork {
    /// The file's name in `debug-models/`.
    pub(crate) file: &'static str,
    /// The case, as numbered in `debug-models/README.md`.
    pub(crate) case: &'static str,
    /// The network.
    pub(crate) network: Network,
}

/// Every debug network, in the order of the cases.
pub(crate) fn all() -> Vec<DebugNetwork> {
    let debug = |file, case, network| DebugNetwork { file, case, network };
    vec![
        debug("efformer_mlp_gelu.onnx", "A1", efficientformer::norm_and_gelu()),
        debug("split_view.onnx", "A2", levit::split_view("split_view", 16)),
        debug("split_view_small.onnx", "A2", levit::split_view("split_view_small", 4)),
        debug("attention_bias.onnx", "A3", levit::attention_bias()),
        debug("linear_bn.onnx", "A4", levit::linear_bn()),
        debug("efformer_mlp_1.onnx", "A5", efficientformer::mlp("efformer_mlp_1", 1)),
        debug("efformer_mlp_2.onnx", "A6", efficientformer::mlp("efformer_mlp_2", 2)),
        debug("efformer_mlp_3.onnx", "A7", efficientformer::mlp("efformer_mlp_3", 3)),
        debug("group_norm.onnx", "A8", mobilevit::group_norm()),
        debug("resnet50_head.onnx", "A11", resnet::head()),
    ]
}
