//! Batch normalization with seeded statistics, and a bias that is chosen to reach a wanted value.

use super::weights::{between, floats};
use offby::graph::{Attribute, Network};
use offby::inputs::Random;

const EPSILON: f32 = 1e-5;

/// The parameters of a batch normalization over `gamma.len()` channels.
pub(super) struct Norm {
    gamma: Vec<f32>,
    beta: Vec<f32>,
    mean: Vec<f32>,
    variance: Vec<f32>,
}

impl Norm {
    /// Statistics as trained networks have them: scales around 1, small means.
    pub(super) fn seeded(random: &mut Random, channels: usize) -> Self {
        Norm {
            gamma: between(random, 0.5, 1.5, channels),
            beta: between(random, -1.0, 1.0, channels),
            mean: between(random, -0.5, 0.5, channels),
            variance: between(random, 0.25, 2.25, channels),
        }
    }

    /// The number of channels.
    pub(super) fn channels(&self) -> usize {
        self.gamma.len()
    }

    /// The factor of a channel.
    pub(super) fn scale(&self, channel: usize) -> f64 {
        f64::from(self.gamma[channel])
            / libm::sqrt(f64::from(self.variance[channel]) + f64::from(EPSILON))
    }

    /// The result of `value` in a channel.
    pub(super) fn apply(&self, channel: usize, value: f64) -> f64 {
        (value - f64::from(self.mean[channel])) * self.scale(channel)
            + f64::from(self.beta[channel])
    }

    /// Chooses the channel's bias that maps `value` to `wanted`.
    pub(super) fn aim(&mut self, channel: usize, value: f64, wanted: f64) {
        self.beta[channel] =
            (wanted - (value - f64::from(self.mean[channel])) * self.scale(channel)) as f32;
    }

    /// Adds the normalization as PyTorch exports it; `module` is its name in the Python model.
    pub(super) fn add(&self, network: Network, module: &str, input: &str, output: &str) -> Network {
        let path = format!("/{}/BatchNormalization", module.replace('.', "/"));
        let [weight, bias, mean, variance] = ["weight", "bias", "running_mean", "running_var"]
            .map(|part| format!("{module}.{part}"));
        let constants = [
            (&weight, &self.gamma),
            (&bias, &self.beta),
            (&mean, &self.mean),
            (&variance, &self.variance),
        ];
        let network = constants.into_iter().fold(network, |network, (name, numbers)| {
            network.initializer(name, &floats(&[numbers.len()], numbers))
        });
        let inputs = [input, &weight, &bias, &mean, &variance];
        network.node(
            &path,
            "BatchNormalization",
            &inputs,
            &[output],
            &[("epsilon", Attribute::Float(EPSILON))],
        )
    }
}
