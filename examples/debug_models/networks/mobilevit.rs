//! Cut from MobileViTv2-0.5: its last block up to the first group norm.

use super::weights::{between, floats, longs};
use offby::graph::{Attribute, Network};
use offby::inputs::Random;
use offby::tensor::Dtype::F32;

const CHANNELS: usize = 256;
const UNITS: usize = 128;
const BLOCK: &str = "/layer_5/1";
const NORM: &str = "/layer_5/1/global_rep/0/pre_norm_attn/0";

/// A8: 1x256x8x8 through the local part and the unfolding to 1x128x4x16, then group norm of one group.
pub(super) fn group_norm() -> Network {
    let network = Network::new("group_norm").input("input", F32, &[1, CHANNELS, 8, 8]);
    let network = local(network, &mut Random::new(8));
    norm(unfold(network), &mut Random::new(9)).output("output", F32, &[1, UNITS, 4, 16])
}

/// A depthwise 3x3 convolution (batch norm folded in, as the exporter does) with SiLU, and a 1x1 convolution.
fn local(network: Network, random: &mut Random) -> Network {
    let at = |name: &str| format!("{BLOCK}/local_rep/{name}");
    let [conv, sigmoid, silu] =
        ["0/Conv_output_0", "0/act/Sigmoid_output_0", "0/act/Mul_output_0"].map(at);
    let weight = between(random, -0.5, 0.5, CHANNELS * 9);
    let bias = between(random, -0.2, 0.2, CHANNELS);
    let mix = between(random, -0.1, 0.1, UNITS * CHANNELS);
    network
        .initializer("onnx::Conv_64", &floats(&[CHANNELS, 1, 3, 3], &weight))
        .initializer("onnx::Conv_65", &floats(&[CHANNELS], &bias))
        .initializer("layer_5.1.local_rep.1.weight", &floats(&[UNITS, CHANNELS, 1, 1], &mix))
        .node(
            &at("0/Conv"),
            "Conv",
            &["input", "onnx::Conv_64", "onnx::Conv_65"],
            &[&conv],
            &window(CHANNELS, 3, 1, 1),
        )
        .node(&at("0/act/Sigmoid"), "Sigmoid", &[&conv], &[&sigmoid], &[])
        .node(&at("0/act/Mul"), "Mul", &[&conv, &sigmoid], &[&silu], &[])
        .node(
            &at("1/Conv"),
            "Conv",
            &[&silu, "layer_5.1.local_rep.1.weight"],
            &[&at("1/Conv_output_0")],
            &window(1, 1, 1, 0),
        )
}

/// The 2x2 patches as a convolution with an identity, and the view as 1, 128, 4, -1.
fn unfold(network: Network) -> Network {
    let at = |name: &str| format!("{BLOCK}/{name}");
    let identity: Vec<f32> =
        (0..UNITS * 16).map(|i| if i % 16 % 5 == 0 { 1.0 } else { 0.0 }).collect();
    let view = Attribute::Tensor(longs(&[1, UNITS as i64, 4, -1]));
    let attributes = window(UNITS, 2, 2, 0);
    let (local, weights, patches) =
        (at("local_rep/1/Conv_output_0"), "layer_5.1.unfolding_weights", at("Conv_output_0"));
    network
        .initializer(weights, &floats(&[UNITS * 4, 1, 2, 2], &identity))
        .node(&at("Conv"), "Conv", &[&local, weights], &[&patches], &attributes)
        .node(&at("Constant"), "Constant", &[], &[&at("Constant_output_0")], &[("value", view)])
        .node(
            &at("Reshape"),
            "Reshape",
            &[&patches, &at("Constant_output_0")],
            &[&at("Reshape_output_0")],
            &[],
        )
}

/// `nn.GroupNorm(1, 128)` in the operators that PyTorch exports for it at opset 13.
fn norm(network: Network, random: &mut Random) -> Network {
    let at = |name: &str| format!("{NORM}/{name}");
    let result = |name: &str| format!("{NORM}/{name}_output_0");
    let [grouped, normalized, shape, back, scaled] =
        ["Reshape", "InstanceNormalization", "Shape", "Reshape_1", "Mul"].map(result);
    let [groups, one, zero] = ["Constant", "Constant_1", "Constant_2"].map(result);
    let patches = format!("{BLOCK}/Reshape_output_0");
    let epsilon = [("epsilon", Attribute::Float(1e-5))];
    let instances = [&grouped, &one, &zero].map(String::as_str);
    group_constants(network)
        .initializer("onnx::Mul_66", &floats(&[UNITS, 1, 1], &between(random, 0.5, 1.5, UNITS)))
        .initializer("onnx::Add_67", &floats(&[UNITS, 1, 1], &between(random, -0.5, 0.5, UNITS)))
        .node(&at("Reshape"), "Reshape", &[&patches, &groups], &[&grouped], &[])
        .node(
            &at("InstanceNormalization"),
            "InstanceNormalization",
            &instances,
            &[&normalized],
            &epsilon,
        )
        .node(&at("Shape"), "Shape", &[&patches], &[&shape], &[])
        .node(&at("Reshape_1"), "Reshape", &[&normalized, &shape], &[&back], &[])
        .node(&at("Mul"), "Mul", &[&back, "onnx::Mul_66"], &[&scaled], &[])
        .node(&at("Add"), "Add", &[&scaled, "onnx::Add_67"], &["output"], &[])
}

/// The view as one group, and a neutral scale and bias for an instance norm.
fn group_constants(network: Network) -> Network {
    let constants = [
        ("Constant", longs(&[0, 1, -1])),
        ("Constant_1", floats(&[1], &[1.0])),
        ("Constant_2", floats(&[1], &[0.0])),
    ];
    constants.into_iter().fold(network, |network, (name, tensor)| {
        let (path, output) = (format!("{NORM}/{name}"), format!("{NORM}/{name}_output_0"));
        network.node(&path, "Constant", &[], &[&output], &[("value", Attribute::Tensor(tensor))])
    })
}

/// The attributes of a convolution.
fn window(groups: usize, kernel: i64, stride: i64, pad: i64) -> [(&'static str, Attribute); 5] {
    [
        ("dilations", Attribute::Ints(vec![1, 1])),
        ("group", Attribute::Int(groups as i64)),
        ("kernel_shape", Attribute::Ints(vec![kernel; 2])),
        ("pads", Attribute::Ints(vec![pad; 4])),
        ("strides", Attribute::Ints(vec![stride; 2])),
    ]
}
