//! Chooses the faults, their nodes and their network: everything follows from the seed.

use crate::Field;
use offby::inputs::Random;
use offby::sim::{Condition, Device, Fault, NodeFacts, Planted, StorageRules};
use offby::tensor::Format;

/// Faults that change numbers, so a comparison can find them.
pub(crate) const NUMERIC: &[Fault] = &[
    Fault::NaiveGelu,
    Fault::NaiveSoftplus,
    Fault::NaiveLogsumexp,
    Fault::VarianceBySquares,
    Fault::PaddingInStatistics,
    Fault::UnwrittenParameters,
    Fault::Ulps,
    Fault::Nan,
    Fault::Scale,
    Fault::Zero,
    Fault::WrongBroadcast,
    Fault::IgnoreTranspose,
    Fault::TileZero,
    Fault::ChannelSwap,
    Fault::PackSwap,
    Fault::ConcatOffset,
    Fault::Stale,
    Fault::Random,
    Fault::PadsSwapped,
    Fault::OneElement,
    Fault::OneRow,
    Fault::QuietChannels,
    Fault::LastTile,
    Fault::SomeUlps,
    Fault::LargeOnly,
    Fault::NegativeOnly,
    Fault::SignLost,
    Fault::ReadOn,
    Fault::TermLost,
    Fault::TailLost,
    Fault::BiasMissing,
    Fault::RowsSwapped,
    Fault::Shifted,
    Fault::ChannelCopied,
    Fault::Clipped,
    Fault::SmallLost,
    Fault::DigitsLost,
    Fault::HalfSums,
    Fault::SecondRun,
];

/// Operators computed as in `f16`. On a device that stores `f16` anyway, with numbers of ordinary size, that is
/// rounding and no fault. So they are planted only on other devices.
const BY_HALVES: &[Fault] =
    &[Fault::NaiveGelu, Fault::NaiveSoftplus, Fault::NaiveLogsumexp, Fault::VarianceBySquares];

/// One device with its faults.
pub(crate) struct Trial {
    /// The device.
    pub(crate) device: Device,
    /// The kind of each fault and the label of its node.
    pub(crate) planted: Vec<(Fault, String)>,
    /// The seed of the input.
    pub(crate) input: u64,
    /// The index of the network.
    pub(crate) network: usize,
}

/// The trial for a number: kinds take turns, everything else is drawn.
pub(crate) fn draw(seed: u64, number: usize, field: &Field) -> Trial {
    let networks = &field.facts;
    let mut random = Random::new(seed.wrapping_mul(1_000_003).wrapping_add(number as u64));
    let mut below = |bound: usize| random.below(bound as u128) as usize;
    let first = NUMERIC[number % NUMERIC.len()];
    let fitting: Vec<usize> =
        (0..networks.len()).filter(|&n| networks[n].iter().any(|node| fits(first, node))).collect();
    let network = fitting[below(fitting.len())];
    let half = below(10) < 3 && !BY_HALVES.contains(&first) && field.fits_half[network];
    let count = if below(10) < 6 { 1 } else { 2 + below(9) };
    let mut planted: Vec<(Fault, String)> = Vec::new();
    let mut faults = Vec::new();
    for turn in 0..count {
        let kind = if turn == 0 { first } else { NUMERIC[below(NUMERIC.len())] };
        let free: Vec<&NodeFacts> = networks[network]
            .iter()
            .filter(|node| fits(kind, node) && !(half && BY_HALVES.contains(&kind)))
            .filter(|node| planted.iter().all(|(_, label)| *label != node.label))
            .collect();
        if free.is_empty() {
            continue;
        }
        let node = free[below(free.len())];
        planted.push((kind, node.label.clone()));
        faults.push(fault(kind, &node.label, half));
    }
    let format = if half { Format::F16 } else { Format::F32 };
    let device = Device {
        name: format!("planted-{number}"),
        describes: format!("device with {} planted faults", faults.len()),
        storage: StorageRules { format, ..StorageRules::default() },
        faults,
        ..Device::honest()
    };
    Trial { device, planted, input: number as u64, network }
}

/// Whether a fault can touch a node.
pub(crate) fn fits(kind: Fault, node: &NodeFacts) -> bool {
    kind.touches().is_empty() || kind.touches().contains(&node.op_type.as_str())
}

/// A fault at the nodes with a label, with the parameters of its kind.
pub(crate) fn fault(kind: Fault, label: &str, half: bool) -> Planted {
    let is = |other: Fault| kind == other;
    Planted {
        // Several times each storage's tolerance: 1e-4 and 1e-2.
        ulps: match kind {
            Fault::Ulps => Some(if half { 64 } else { 16_384 }),
            Fault::SomeUlps => Some(1),
            _ => None,
        },
        factor: is(Fault::Scale).then_some(1.5),
        tile: (is(Fault::TileZero) || is(Fault::LastTile)).then_some(4),
        multiple: is(Fault::PaddingInStatistics).then_some(7),
        offset: is(Fault::ConcatOffset).then_some(3),
        at: Condition { name: Some(label.to_owned()), ..Condition::default() },
        ..Planted::of(kind)
    }
}
