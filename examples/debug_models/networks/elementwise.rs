//! Elementwise operators and layouts as in public issues of inference engines: B4, B8, B9, B17, B19, B20.

use super::weights::{between, floats, longs};
use offby::graph::{Attribute, Network};
use offby::inputs::Random;
use offby::tensor::Dtype::F32;

/// B4: an image times one number, a tensor of rank 4 with one element.
pub(super) fn scalar_operand() -> Network {
    let shape = [1, 3, 16, 16];
    Network::new("scalar_operand")
        .input("input", F32, &shape)
        .initializer("contrast", &floats(&[1, 1, 1, 1], &[1.5]))
        .node("/Mul", "Mul", &["input", "contrast"], &["output"], &[])
        .output("output", F32, &shape)
}

/// B8: three sums in a row whose second operand is repeated once along an axis. In ggml's order of axes [16, 5,
/// 4, 3] is repeated [1, 2, 1, 1] times. ONNX has no repeating, so the axis is split in two.
pub(super) fn repeated_sum() -> Network {
    let (whole, part) = ([12, 2, 5, 16], [12, 1, 5, 16]);
    let mut random = Random::new(8);
    let mut network = Network::new("repeated_sum").input("input", F32, &whole);
    for (number, [from, to]) in
        [["input", "one"], ["one", "two"], ["two", "output"]].iter().enumerate()
    {
        let (operand, node) = (format!("operand{number}"), format!("/Add_{number}"));
        network = network
            .initializer(&operand, &floats(&part, &between(&mut random, -1.0, 1.0, 12 * 5 * 16)))
            .node(&node, "Add", &[from, &operand], &[to], &[]);
    }
    network.output("output", F32, &whole)
}

/// B9: 800 rows of 2 times a constant of the same shape.
pub(super) fn packed_product() -> Network {
    let shape = [1, 800, 2];
    let factors = between(&mut Random::new(9), 0.5, 1.5, 1600);
    Network::new("packed_product")
        .input("input", F32, &shape)
        .initializer("factors", &floats(&shape, &factors))
        .node("/Mul", "Mul", &["input", "factors"], &["output"], &[])
        .output("output", F32, &shape)
}

/// B17: ln(1 + e^x).
pub(super) fn softplus() -> Network {
    Network::new("softplus")
        .input("input", F32, &[1, 256])
        .node("/act/Softplus", "Softplus", &["input"], &["output"], &[])
        .output("output", F32, &[1, 256])
}

/// B19: adds one hundred-thousandth.
pub(super) fn small_addend() -> Network {
    let shape = [1, 16, 16];
    Network::new("small_addend")
        .input("input", F32, &shape)
        .initializer("epsilon", &floats(&[], &[1e-5]))
        .node("/Add", "Add", &["input", "epsilon"], &["output"], &[])
        .output("output", F32, &shape)
}

/// B20: four parts of 180 channels, each bent separately, then joined.
pub(super) fn four_parts() -> Network {
    const PART: usize = 180;
    let network = Network::new("four_parts").input("input", F32, &[1, 4 * PART, 4, 4]);
    let parts = ["part0", "part1", "part2", "part3"];
    let bent = ["bent0", "bent1", "bent2", "bent3"];
    let network = network.initializer("sizes", &longs(&[PART as i64; 4])).node(
        "/Split",
        "Split",
        &["input", "sizes"],
        &parts,
        &[("axis", Attribute::Int(1))],
    );
    let bend = |network: Network, (part, bent): (&&str, &&str)| {
        network.node(&format!("/{bent}/Tanh"), "Tanh", &[part], &[bent], &[])
    };
    parts
        .iter()
        .zip(&bent)
        .fold(network, bend)
        .node("/Concat", "Concat", &bent, &["output"], &[("axis", Attribute::Int(1))])
        .output("output", F32, &[1, 4 * PART, 4, 4])
}
