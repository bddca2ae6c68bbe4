//! The debug networks: rebuilt from the seed and from public issues, and our own. Same operators and shapes,
//! seeded weights.
//!
//! Weights come from integers by `+ - * /` and `libm` alone. If the seed prints a value, one constant on its
//! way is solved to reproduce that value; the other constants are seeded.

mod choices;
mod efficientformer;
mod elementwise;
mod gelu;
mod levit;
mod mobilevit;
mod norm;
mod norms;
mod products;
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
        debug("pool_sentinel.onnx", "B1", products::pool_sentinel()),
        debug("small_mlp.onnx", "B3", products::small_mlp()),
        debug("scalar_operand.onnx", "B4", elementwise::scalar_operand()),
        debug("strided_conv.onnx", "B5", products::strided_conv()),
        debug("embedding.onnx", "B6", products::embedding()),
        debug("square_product.onnx", "B7", products::square_product()),
        debug("repeated_sum.onnx", "B8", elementwise::repeated_sum()),
        debug("packed_product.onnx", "B9", elementwise::packed_product()),
        debug("rms_norm.onnx", "B10", norms::rms_norm()),
        debug("layer_norm_197.onnx", "B11", norms::layer_norm("layer_norm_197", &[1, 192, 197])),
        debug("layer_norm_256.onnx", "B12", norms::layer_norm("layer_norm_256", &[4, 256])),
        debug("same_upper.onnx", "B13", products::same_upper()),
        debug("basic_block.onnx", "B14", products::basic_block()),
        debug("group_norm_32.onnx", "B15", norms::grouped("group_norm_32", [1, 1024, 10, 20], 32)),
        debug("group_norm_16.onnx", "B16", norms::grouped("group_norm_16", [1, 48, 32, 32], 16)),
        debug("softplus.onnx", "B17", elementwise::softplus()),
        debug("log_sum_exp.onnx", "B18", norms::log_sum_exp()),
        debug("small_addend.onnx", "B19", elementwise::small_addend()),
        debug("four_parts.onnx", "B20", elementwise::four_parts()),
        debug("scaled_product.onnx", "B21", products::scaled_product()),
        debug("layer_norm_in_parts.onnx", "B22", norms::layer_norm_in_parts()),
        debug("transposed_product.onnx", "B23", products::transposed_product()),
        debug("segmentation.onnx", "C1", choices::segmentation()),
        debug("boxes_by_corner.onnx", "C2", choices::boxes("boxes_by_corner", 0)),
        debug("boxes_by_centre.onnx", "C2", choices::boxes("boxes_by_centre", 1)),
    ]
}
