//! Cut from LeViT: the view and split of its attention, its attention bias, its batch norm.

use super::norm::Norm;
use super::weights::{between, floats, longs};
use offby::graph::{Attribute, Network};
use offby::inputs::Random;
use offby::tensor::Dtype::F32;

/// A2: `qkv.view(1, N, 4, 64).split([16, 16, 32], dim=3)`; the output is `q`.
pub(super) fn split_view(name: &str, tokens: usize) -> Network {
    let (shape, sizes) = ("/blocks/0/m/Constant_output_0", "onnx::Split_3");
    let view = longs(&[1, tokens as i64, 4, 64]);
    let constant = |tensor| [("value", Attribute::Tensor(tensor))];
    Network::new(name)
        .input("input", F32, &[1, tokens, 256])
        .node("/blocks/0/m/Constant", "Constant", &[], &[shape], &constant(view))
        .node(
            "/blocks/0/m/Reshape",
            "Reshape",
            &["input", shape],
            &["/blocks/0/m/Reshape_output_0"],
            &[],
        )
        .node("Constant_1", "Constant", &[], &[sizes], &constant(longs(&[16, 16, 32])))
        .node(
            "/blocks/0/m/Split",
            "Split",
            &["/blocks/0/m/Reshape_output_0", sizes],
            &["q", "/blocks/0/m/Split_output_1", "/blocks/0/m/Split_output_2"],
            &[("axis", Attribute::Int(3))],
        )
        .output("q", F32, &[1, tokens, 4, 16])
}

/// A3: `x + self.ab`, a tensor of rank 4 plus a constant of rank 3.
///
/// The constant is made as in LeViT: for each head one number for each |dy|, |dx| between two of 14 x 14
/// places.
pub(super) fn attention_bias() -> Network {
    const SIDE: usize = 14;
    const PLACES: usize = SIDE * SIDE;
    let mut random = Random::new(3);
    let mut heads: Vec<Vec<f32>> =
        (0..4).map(|_| between(&mut random, -12.0, 4.0, PLACES)).collect();
    // The seed's four printed sums belong to input 1 with the first two offsets of the first and last head.
    for (head, offset, sum) in [(0, 0, 6.64336), (0, 1, 6.14926), (3, 1, 3.50332), (3, 0, 3.2117)] {
        heads[head][offset] = (sum - 1.0) as f32;
    }
    let mut bias = Vec::with_capacity(4 * PLACES * PLACES);
    for head in &heads {
        for (from, to) in (0..PLACES).flat_map(|from| (0..PLACES).map(move |to| (from, to))) {
            let (rows, columns) =
                ((from / SIDE).abs_diff(to / SIDE), (from % SIDE).abs_diff(to % SIDE));
            bias.push(head[rows * SIDE + columns]);
        }
    }
    Network::new("attention_bias")
        .input("input", F32, &[1, 4, PLACES, PLACES])
        .initializer("onnx::Add_1", &floats(&[4, PLACES, PLACES], &bias))
        .node("/blocks/0/m/Add", "Add", &["input", "onnx::Add_1"], &["output"], &[])
        .output("output", F32, &[1, 4, PLACES, PLACES])
}

/// A4: only the batch norm of `Linear_BN`, on 196 tokens of 256 channels.
pub(super) fn linear_bn() -> Network {
    let mut norm = Norm::seeded(&mut Random::new(4), 256);
    for (channel, wanted) in [(0, 0.22279), (1, -1.49101), (254, -1.48576), (255, 1.51551)] {
        norm.aim(channel, 1.0, wanted);
    }
    let network = Network::new("linear_bn").input("input", F32, &[196, 256]);
    norm.add(network, "blocks.0.m.qkv.bn", "input", "output").output("output", F32, &[196, 256])
}
