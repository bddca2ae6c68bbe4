//! The arguments of a search in a quantised network.

use clap::Args;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(super) struct QuantisedArgs {
    /// Quantised form of the network, with QuantizeLinear and DequantizeLinear: find the smallest set of layers
    /// that must stay in float
    #[arg(long, value_name = "FILE", conflicts_with_all = ["by", "goal", "precision", "mnn"])]
    pub(super) quantised: Option<PathBuf>,
    /// Inputs: a folder or a file, as for `offby agree`; without it, the values of --input
    #[arg(long, value_name = "DIR|FILE", requires = "quantised")]
    pub(super) data: Option<PathBuf>,
    /// Ground-truth labels, in the order of the inputs
    #[arg(long, value_name = "FILE", requires = "data")]
    pub(super) labels: Option<PathBuf>,
    /// Resize each image to this length on its shorter side, in pixels
    #[arg(long, value_name = "N", requires = "data", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) resize: Option<u32>,
    /// Then crop a square of this side from the centre
    #[arg(long, value_name = "N", requires = "data", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) crop: Option<u32>,
    /// Share of inputs that must keep the float network's class, such as 0.99 (the default if an output holds
    /// class scores)
    #[arg(long, value_name = "SHARE", requires = "quantised", value_parser = share)]
    pub(super) same_class: Option<f64>,
    /// Largest relative L2 error of the outputs, instead of a share of classes
    #[arg(long, value_name = "E", requires = "quantised", conflicts_with = "same_class", value_parser = error)]
    pub(super) error: Option<f64>,
}

fn share(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    number.ok_or_else(|| "a share is a number from 0 to 1".into())
}

fn error(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|error: &f64| error.is_finite() && *error >= 0.0);
    number.ok_or_else(|| "an error is a number of at least 0, such as 0.01".into())
}
