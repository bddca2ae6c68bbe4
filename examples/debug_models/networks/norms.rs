//! Norms and sums as in public issues of inference engines: B10 to B12, B15, B16, B18 and B22.

use super::weights::{between, floats, longs};
use offby::graph::{Attribute, Network};
use offby::inputs::Random;
use offby::tensor::Dtype::F32;

/// `x / sqrt(mean(x * x) + eps) * weight` in operators: the parts of `SimplifiedLayerNormalization`.
pub(super) fn rms_norm() -> Network {
    const WIDTH: usize = 256;
    let weight = between(&mut Random::new(10), 0.5, 1.5, WIDTH);
    Network::new("rms_norm")
        .input("input", F32, &[4, WIDTH])
        .initializer("epsilon", &floats(&[], &[1e-6]))
        .initializer("weight", &floats(&[WIDTH], &weight))
        .node("/norm/Mul", "Mul", &["input", "input"], &["squares"], &[])
        .node("/norm/ReduceMean", "ReduceMean", &["squares"], &["mean"], &last_axis())
        .node("/norm/Add", "Add", &["mean", "epsilon"], &["shifted"], &[])
        .node("/norm/Sqrt", "Sqrt", &["shifted"], &["root"], &[])
        .node("/norm/Div", "Div", &["input", "root"], &["normed"], &[])
        .node("/norm/Mul_1", "Mul", &["normed", "weight"], &["output"], &[])
        .output("output", F32, &[4, WIDTH])
}

/// `LayerNormalization` (opset 17) over the last axis.
pub(super) fn layer_norm(name: &str, shape: &[usize]) -> Network {
    let width = shape.last().copied().unwrap_or(1);
    let mut random = Random::new(11);
    let (scale, bias) =
        (between(&mut random, 0.5, 1.5, width), between(&mut random, -0.5, 0.5, width));
    let attributes = [("axis", Attribute::Int(-1)), ("epsilon", Attribute::Float(1e-5))];
    Network::new(name)
        .opset(17)
        .input("input", F32, shape)
        .initializer("weight", &floats(&[width], &scale))
        .initializer("bias", &floats(&[width], &bias))
        .node(
            "/norm/LayerNormalization",
            "LayerNormalization",
            &["input", "weight", "bias"],
            &["output"],
            &attributes,
        )
        .output("output", F32, shape)
}

/// `layer_norm` with an epsilon of 1e-12 in the operators that PyTorch exports for it at opset 13.
pub(super) fn layer_norm_in_parts() -> Network {
    let shape = [4, 64];
    Network::new("layer_norm_in_parts")
        .input("input", F32, &shape)
        .initializer("two", &floats(&[], &[2.0]))
        .initializer("epsilon", &floats(&[], &[1e-12]))
        .node("/norm/ReduceMean", "ReduceMean", &["input"], &["mean"], &last_axis())
        .node("/norm/Sub", "Sub", &["input", "mean"], &["centred"], &[])
        .node("/norm/Pow", "Pow", &["centred", "two"], &["squares"], &[])
        .node("/norm/ReduceMean_1", "ReduceMean", &["squares"], &["variance"], &last_axis())
        .node("/norm/Add", "Add", &["variance", "epsilon"], &["shifted"], &[])
        .node("/norm/Sqrt", "Sqrt", &["shifted"], &["deviation"], &[])
        .node("/norm/Div", "Div", &["centred", "deviation"], &["output"], &[])
        .output("output", F32, &shape)
}

/// A group norm without scale and bias as PyTorch exports it: each group becomes a channel of an instance norm.
pub(super) fn grouped(name: &str, shape: [usize; 4], groups: usize) -> Network {
    let view = |sizes: &[i64]| [("value", Attribute::Tensor(longs(sizes)))];
    let back: Vec<i64> = shape.iter().map(|&extent| extent as i64).collect();
    Network::new(name)
        .input("input", F32, &shape)
        .initializer("one", &floats(&[groups], &vec![1.0; groups]))
        .initializer("zero", &floats(&[groups], &vec![0.0; groups]))
        .node("/norm/Constant", "Constant", &[], &["grouping"], &view(&[0, groups as i64, -1]))
        .node("/norm/Reshape", "Reshape", &["input", "grouping"], &["groups"], &[])
        .node(
            "/norm/InstanceNormalization",
            "InstanceNormalization",
            &["groups", "one", "zero"],
            &["normed"],
            &[("epsilon", Attribute::Float(1e-5))],
        )
        .node("/norm/Constant_1", "Constant", &[], &["shape"], &view(&back))
        .node("/norm/Reshape_1", "Reshape", &["normed", "shape"], &["output"], &[])
        .output("output", F32, &shape)
}

/// The logarithm of the sum of exponentials over 32 channels.
pub(super) fn log_sum_exp() -> Network {
    let attributes = [("axes", Attribute::Ints(vec![1])), ("keepdims", Attribute::Int(1))];
    Network::new("log_sum_exp")
        .input("input", F32, &[1, 32, 8, 8])
        .node("/ReduceLogSumExp", "ReduceLogSumExp", &["input"], &["output"], &attributes)
        .output("output", F32, &[1, 1, 8, 8])
}

fn last_axis() -> [(&'static str, Attribute); 2] {
    [("axes", Attribute::Ints(vec![-1])), ("keepdims", Attribute::Int(1))]
}
