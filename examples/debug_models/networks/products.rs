//! Products, convolutions and pooling as in public issues of inference engines: B1, B3, B5 to B7, B13, B14, B21
//! and B23.

use super::weights::{between, floats};
use offby::graph::{Attribute, Network};
use offby::inputs::Random;
use offby::tensor::Dtype::F32;

/// B1: padding with the lowest f32, then a pooling; some of its windows see only padding.
pub(super) fn pool_sentinel() -> Network {
    let window =
        [("kernel_shape", Attribute::Ints(vec![2, 2])), ("strides", Attribute::Ints(vec![1, 1]))];
    Network::new("pool_sentinel")
        .input("input", F32, &[1, 4, 6, 6])
        .initializer("pads", &super::weights::longs(&[0, 0, 2, 2, 0, 0, 2, 2]))
        .initializer("sentinel", &floats(&[], &[f32::MIN]))
        .node("/pool/Pad", "Pad", &["input", "pads", "sentinel"], &["padded"], &[])
        .node("/pool/MaxPool", "MaxPool", &["padded"], &["output"], &window)
        .output("output", F32, &[1, 4, 9, 9])
}

/// B3: 15 inputs, 32 hidden units, one output; the output is 2.7199 if the inputs are ones.
pub(super) fn small_mlp() -> Network {
    const INPUTS: usize = 15;
    const HIDDEN: usize = 32;
    let mut random = Random::new(13);
    let first = between(&mut random, -0.5, 0.5, HIDDEN * INPUTS);
    let shift = between(&mut random, -0.2, 0.2, HIDDEN);
    let second = between(&mut random, -0.5, 0.5, HIDDEN);
    let hidden = first.chunks(INPUTS).zip(&shift).map(|(row, bias)| {
        (row.iter().map(|w| f64::from(*w)).sum::<f64>() + f64::from(*bias)).max(0.0)
    });
    let sum: f64 = hidden.zip(&second).map(|(unit, weight)| unit * f64::from(*weight)).sum();
    let gemm = [("transB", Attribute::Int(1))];
    Network::new("small_mlp")
        .input("input", F32, &[1, INPUTS])
        .initializer("fc1.weight", &floats(&[HIDDEN, INPUTS], &first))
        .initializer("fc1.bias", &floats(&[HIDDEN], &shift))
        .initializer("fc2.weight", &floats(&[1, HIDDEN], &second))
        .initializer("fc2.bias", &floats(&[1], &[(2.7199 - sum) as f32]))
        .node("/fc1/Gemm", "Gemm", &["input", "fc1.weight", "fc1.bias"], &["sums"], &gemm)
        .node("/act/Relu", "Relu", &["sums"], &["hidden"], &[])
        .node("/fc2/Gemm", "Gemm", &["hidden", "fc2.weight", "fc2.bias"], &["output"], &gemm)
        .output("output", F32, &[1, 1])
}

/// B5: two 3x3 convolutions of 16 channels on a height of 192; only the second has stride 2.
pub(super) fn strided_conv() -> Network {
    let pads = ("pads", Attribute::Ints(vec![1; 4]));
    convs("strided_conv", &[[1, 16, 192, 16], [1, 16, 192, 16], [1, 16, 96, 8]], &pads)
}

/// B13: the strided convolutions with the padding left to `auto_pad`.
pub(super) fn same_upper() -> Network {
    let pads = ("auto_pad", Attribute::Text("SAME_UPPER".into()));
    convs("same_upper", &[[1, 8, 16, 16], [1, 8, 16, 16], [1, 8, 8, 8]], &pads)
}

fn convs(name: &str, shapes: &[[usize; 4]; 3], pads: &(&str, Attribute)) -> Network {
    let channels = shapes[0][1];
    let mut random = Random::new(5);
    let mut weight = || {
        let spread = 1.0 / libm::sqrt(channels as f64);
        floats(
            &[channels, channels, 3, 3],
            &between(&mut random, -spread, spread, channels * channels * 9),
        )
    };
    let window = |stride: i64| {
        let kernel = ("kernel_shape", Attribute::Ints(vec![3, 3]));
        [kernel, ("strides", Attribute::Ints(vec![stride; 2])), pads.clone()]
    };
    Network::new(name)
        .input("input", F32, &shapes[0])
        .initializer("conv1.weight", &weight())
        .initializer("conv2.weight", &weight())
        .node("/conv1/Conv", "Conv", &["input", "conv1.weight"], &["first"], &window(1))
        .node("/conv2/Conv", "Conv", &["first", "conv2.weight"], &["output"], &window(2))
        .output("output", F32, &shapes[2])
}

/// B6: the end of an image encoder: pooling, projection, and the division by its length.
pub(super) fn embedding() -> Network {
    let weight = between(&mut Random::new(6), -0.2, 0.2, 32 * 64);
    let length = [("axes", Attribute::Ints(vec![1])), ("keepdims", Attribute::Int(1))];
    Network::new("embedding")
        .input("input", F32, &[1, 64, 8, 8])
        .initializer("projection", &floats(&[64, 32], &weight))
        .node("/head/GlobalAveragePool", "GlobalAveragePool", &["input"], &["pooled"], &[])
        .node(
            "/head/Flatten",
            "Flatten",
            &["pooled"],
            &["features"],
            &[("axis", Attribute::Int(1))],
        )
        .node("/head/MatMul", "MatMul", &["features", "projection"], &["projected"], &[])
        .node("/head/ReduceL2", "ReduceL2", &["projected"], &["length"], &length)
        .node("/head/Div", "Div", &["projected", "length"], &["output"], &[])
        .output("output", F32, &[1, 32])
}

/// B7: the product of two 200x200 matrices.
pub(super) fn square_product() -> Network {
    let shape = [200, 200];
    Network::new("square_product")
        .input("a", F32, &shape)
        .input("b", F32, &shape)
        .node("/MatMul", "MatMul", &["a", "b"], &["output"], &[])
        .output("output", F32, &shape)
}

/// B14: a basic block of ResNet-18, narrowed to 16 channels.
pub(super) fn basic_block() -> Network {
    let shape = [1, 16, 14, 14];
    let mut random = Random::new(14);
    let mut weight = || floats(&[16, 16, 3, 3], &between(&mut random, -0.15, 0.15, 16 * 16 * 9));
    let window =
        [("kernel_shape", Attribute::Ints(vec![3, 3])), ("pads", Attribute::Ints(vec![1; 4]))];
    Network::new("basic_block")
        .input("input", F32, &shape)
        .initializer("conv1.weight", &weight())
        .initializer("conv2.weight", &weight())
        .node("/conv1/Conv", "Conv", &["input", "conv1.weight"], &["first"], &window)
        .node("/relu/Relu", "Relu", &["first"], &["bent"], &[])
        .node("/conv2/Conv", "Conv", &["bent", "conv2.weight"], &["second"], &window)
        .node("/Add", "Add", &["second", "input"], &["sum"], &[])
        .node("/relu/Relu_1", "Relu", &["sum"], &["output"], &[])
        .output("output", F32, &shape)
}

/// B21: a batch of products, scaled after it is stored.
pub(super) fn scaled_product() -> Network {
    let shape = [5, 64, 64];
    Network::new("scaled_product")
        .input("a", F32, &shape)
        .input("b", F32, &shape)
        .initializer("alpha", &floats(&[], &[0.125]))
        .node("/MatMul", "MatMul", &["a", "b"], &["product"], &[])
        .node("/Mul", "Mul", &["product", "alpha"], &["output"], &[])
        .output("output", F32, &shape)
}

/// B23: a batch of products whose first operand is transposed.
pub(super) fn transposed_product() -> Network {
    let shape = [2, 8, 8];
    Network::new("transposed_product")
        .input("a", F32, &shape)
        .input("b", F32, &shape)
        .node(
            "/Transpose",
            "Transpose",
            &["a"],
            &["turned"],
            &[("perm", Attribute::Ints(vec![0, 2, 1]))],
        )
        .node("/MatMul", "MatMul", &["turned", "b"], &["output"], &[])
        .output("output", F32, &shape)
}
