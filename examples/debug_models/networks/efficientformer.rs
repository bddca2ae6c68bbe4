//! Cut from EfficientFormerV2-S0: the `Mlp` of its first stage, whole and in parts.

use super::gelu::{self, gelu};
use super::norm::Norm;
use super::weights::{between, floats};
use offby::graph::{Attribute, Network};
use offby::inputs::Random;
use offby::tensor::Dtype::F32;

const CHANNELS: usize = 32;
const HIDDEN: usize = 128;
const SIDE: usize = 56;
const MODULE: &str = "network.0.0.mlp";

/// A1: batch norm then GELU on 1x128x56x56; of ones, the batch norm makes -72.4048 .. 3.8044.
pub(super) fn norm_and_gelu() -> Network {
    let mut random = Random::new(1);
    let mut norm = Norm::seeded(&mut random, HIDDEN);
    for channel in 0..norm.channels() {
        // As in the seed, a few channels are far below zero, and the others are in GELU's bend.
        let low = if channel % 16 == 5 { -70.0 } else { -6.0 };
        let wanted = low + (3.5 - low) * random.unit();
        norm.aim(channel, 1.0, wanted);
    }
    norm.aim(0, 1.0, -72.4048);
    norm.aim(HIDDEN - 1, 1.0, 3.8044);
    let normed = "/network/0/0/mlp/mid_norm/BatchNormalization_output_0";
    let shape = [1, HIDDEN, SIDE, SIDE];
    let network = Network::new("efformer_mlp_gelu").input("input", F32, &shape);
    let network = norm.add(network, &format!("{MODULE}.mid_norm"), "input", normed);
    gelu::add(network, "/network/0/0/mlp/act", normed, "output").output("output", F32, &shape)
}

/// A5 to A7: the first `layers` of fc1+norm1, GELU+mid+mid_norm, GELU+fc2+norm2, on 1x32x56x56.
pub(super) fn mlp(name: &str, layers: usize) -> Network {
    let mlp = Mlp::seeded();
    let path = "/network/0/0/mlp";
    let network = Network::new(name).input("input", F32, &[1, CHANNELS, SIDE, SIDE]);
    let result = |layer: usize, module: &str| {
        if layer == layers {
            "output".to_owned()
        } else {
            format!("{path}/{module}/BatchNormalization_output_0")
        }
    };
    let mut last = result(1, "norm1");
    let mut network = mlp.fc1.add(network, "fc1", "input", "norm1", &last);
    for (layer, stage, module, norm) in
        [(2, &mlp.mid, "mid", "mid_norm"), (3, &mlp.fc2, "fc2", "norm2")]
    {
        if layer > layers {
            break;
        }
        let act = format!("{path}/act{}", if layer == 2 { "" } else { "_1" });
        let (bent, next) = (format!("{act}/Mul_1_output_0"), result(layer, norm));
        network = gelu::add(network, &act, &last, &bent);
        network = stage.add(network, module, &bent, norm, &next);
        last = next;
    }
    let channels = if layers == 3 { CHANNELS } else { HIDDEN };
    network.output("output", F32, &[1, channels, SIDE, SIDE])
}

/// A convolution with bias, and the batch norm after it.
struct Stage {
    shape: [usize; 4],
    weight: Vec<f32>,
    bias: Vec<f32>,
    norm: Norm,
}

impl Stage {
    fn seeded(random: &mut Random, shape: [usize; 4], spread: f64) -> Self {
        let weight = between(random, -spread, spread, shape.iter().product());
        let bias = between(random, -0.1, 0.1, shape[0]);
        Stage { shape, weight, bias, norm: Norm::seeded(random, shape[0]) }
    }

    /// Output `channel` of a 1x1 convolution, before the batch norm.
    fn mix(&self, channel: usize, inputs: &[f64]) -> f64 {
        let row = self.weight.chunks(self.shape[1]).nth(channel).into_iter().flatten();
        row.zip(inputs).map(|(weight, input)| f64::from(*weight) * input).sum::<f64>()
            + f64::from(self.bias[channel])
    }

    /// Output `channel` of a 3x3 depthwise convolution over a constant, with `rows` and `columns` of its kernel.
    fn slide(&self, channel: usize, input: f64, rows: &[usize], columns: &[usize]) -> f64 {
        let taps = rows
            .iter()
            .flat_map(|row| columns.iter().map(move |column| channel * 9 + row * 3 + column));
        taps.map(|tap| f64::from(self.weight[tap])).sum::<f64>() * input
            + f64::from(self.bias[channel])
    }

    fn add(
        &self,
        network: Network,
        module: &str,
        input: &str,
        norm: &str,
        output: &str,
    ) -> Network {
        let path = format!("/network/0/0/mlp/{module}/Conv");
        let (weight, bias) =
            (format!("{MODULE}.{module}.weight"), format!("{MODULE}.{module}.bias"));
        let (kernel, result) = (self.shape[2] as i64, format!("{path}_output_0"));
        let groups = if self.shape[1] == 1 { self.shape[0] as i64 } else { 1 };
        let attributes = [
            ("dilations", Attribute::Ints(vec![1, 1])),
            ("group", Attribute::Int(groups)),
            ("kernel_shape", Attribute::Ints(vec![kernel; 2])),
            ("pads", Attribute::Ints(vec![kernel / 2; 4])),
            ("strides", Attribute::Ints(vec![1, 1])),
        ];
        let network = network
            .initializer(&weight, &floats(&self.shape, &self.weight))
            .initializer(&bias, &floats(&self.shape[..1], &self.bias))
            .node(&path, "Conv", &[input, &weight, &bias], &[&result], &attributes);
        self.norm.add(network, &format!("{MODULE}.{norm}"), &result, output)
    }
}

/// The three stages. Constants are solved to turn inputs of ones into the seed's printed values.
struct Mlp {
    fc1: Stage,
    mid: Stage,
    fc2: Stage,
}

/// The kernel rows or columns that are inside the image at its first, an inner and its last place.
const FIRST: [usize; 2] = [1, 2];
const INNER: [usize; 3] = [0, 1, 2];
const LAST: [usize; 2] = [0, 1];

impl Mlp {
    fn seeded() -> Self {
        let mut random = Random::new(5);
        let fc1 = Stage::seeded(&mut random, [HIDDEN, CHANNELS, 1, 1], 0.3);
        let mid = Stage::seeded(&mut random, [HIDDEN, 1, 3, 3], 0.5);
        let fc2 = Stage::seeded(&mut random, [CHANNELS, HIDDEN, 1, 1], 0.1);
        let mut mlp = Mlp { fc1, mid, fc2 };
        let hidden = mlp.aim_fc1();
        mlp.aim_mid(&hidden);
        mlp.aim_fc2(&hidden);
        mlp
    }

    /// Solves norm1 and returns GELU's values for its channels; each channel is constant over all places.
    fn aim_fc1(&mut self) -> Vec<f64> {
        let sums: Vec<f64> =
            (0..HIDDEN).map(|channel| self.fc1.mix(channel, &[1.0; CHANNELS])).collect();
        self.fc1.norm.aim(0, sums[0], 0.545583);
        self.fc1.norm.aim(HIDDEN - 1, sums[HIDDEN - 1], -6.11306);
        sums.iter()
            .enumerate()
            .map(|(channel, &sum)| gelu(self.fc1.norm.apply(channel, sum)))
            .collect()
    }

    /// Solves mid_norm, and the one kernel weight that the second place uses and the first does not.
    fn aim_mid(&mut self, hidden: &[f64]) {
        let (first, second) = (9.74586, 10.3657);
        let both = (second - first) / (self.mid.norm.scale(0) * hidden[0]);
        // Row 1 and row 2 of column 0: row 2 is seeded, and row 1 completes the sum.
        self.mid.weight[3] = (both - f64::from(self.mid.weight[6])) as f32;
        let corner = self.mid.slide(0, hidden[0], &FIRST, &FIRST);
        self.mid.norm.aim(0, corner, first);
        let last = HIDDEN - 1;
        let corner = self.mid.slide(last, hidden[last], &LAST, &LAST);
        self.mid.norm.aim(last, corner, 3.49701);
    }

    /// Solves norm2, and one weight for each of two channels, to reach a corner's and its neighbour's value.
    fn aim_fc2(&mut self, hidden: &[f64]) {
        let bent = |mid: &Stage, rows: &[usize], columns: &[usize]| -> Vec<f64> {
            let at = |(channel, &input): (usize, &f64)| {
                mid.norm.apply(channel, mid.slide(channel, input, rows, columns))
            };
            hidden.iter().enumerate().map(at).map(gelu).collect()
        };
        let top = [bent(&self.mid, &FIRST, &FIRST), bent(&self.mid, &FIRST, &INNER)];
        let bottom = [bent(&self.mid, &LAST, &LAST), bent(&self.mid, &LAST, &INNER)];
        self.aim_pair(0, &top, [1.05672, 1.14461]);
        self.aim_pair(CHANNELS - 1, &bottom, [-1.34904, -0.517402]);
    }

    fn aim_pair(&mut self, channel: usize, places: &[Vec<f64>; 2], wanted: [f64; 2]) {
        let [corner, edge] = places;
        let steps: Vec<f64> = edge.iter().zip(corner).map(|(edge, corner)| edge - corner).collect();
        // The hidden channel that differs most between the two places needs the smallest change.
        let (steepest, step) = steps
            .iter()
            .enumerate()
            .max_by(|(_, a), (_, b)| a.abs().total_cmp(&b.abs()))
            .expect("there are hidden channels");
        let got = self.fc2.mix(channel, edge) - self.fc2.mix(channel, corner);
        let missing = (wanted[1] - wanted[0]) / self.fc2.norm.scale(channel) - got;
        self.fc2.weight[channel * HIDDEN + steepest] += (missing / step) as f32;
        let sum = self.fc2.mix(channel, corner);
        self.fc2.norm.aim(channel, sum, wanted[0]);
    }
}
