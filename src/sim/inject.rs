//! Applies a fault to a node's outputs.

use super::fault::{Fault, Planted};
use super::layout;
use super::naive::{naive_gelu, naive_logsumexp, naive_softplus, where_input_lies};
use super::norm::{Statistics, normalise, unwritten_parameters};
use super::operation::CurrentRun;
use super::operation::{Operation, each};
use super::storage::StorageRules;
use super::{Accumulate, spots, sums, window};
use crate::inputs::Random;
use crate::tensor::{Format, Rounding, Tensor, round_f32};

/// The default tile rows, padding multiple and offset.
const TILE: usize = 64;
const MULTIPLE: usize = 32;
const OFFSET: usize = 4;
/// The default of a factor that no norm over many elements detects.
const SLIGHTLY: f32 = 1.02;
/// The number of products in a lost tail.
const LOST: usize = 3;

/// Applies the fault to a node's right outputs; `None` if the fault cannot touch them. Also `None` for
/// faults that need more than one node (`Simulator` handles these).
pub(super) fn inject(
    planted: &Planted,
    operation: &Operation<'_>,
    right: &[Tensor],
    storage: &StorageRules,
    moment: CurrentRun,
) -> Option<Vec<Tensor>> {
    match planted.fault {
        Fault::NaiveGelu => naive_gelu(operation),
        Fault::NaiveSoftplus => instead(planted, naive_softplus(operation)),
        Fault::NaiveLogsumexp => instead(planted, naive_logsumexp(operation, right)),
        Fault::VarianceBySquares => {
            let sums = planted.sums.unwrap_or(Accumulate::F16);
            normalise(operation, right, Statistics::BySquares(sums))
        }
        Fault::PaddingInStatistics => {
            let (multiple, channels) = (planted.multiple.unwrap_or(MULTIPLE), planted.channels);
            normalise(operation, right, Statistics::Padded(multiple, channels.unwrap_or(1)))
        }
        Fault::UnwrittenParameters => unwritten_parameters(operation, right),
        Fault::Ulps => Some(ulps(right, storage, planted.ulps.unwrap_or(1))),
        Fault::Nan => match planted.range {
            Some(range) => where_input_lies(operation, right, range, f32::NAN),
            None => Some(each(right, |at, value| if at == 0 { f32::NAN } else { value })),
        },
        Fault::Scale => {
            let factor = planted.factor.unwrap_or(2.0);
            Some(each(right, |_, value| factor * value))
        }
        Fault::Zero => match planted.range {
            Some(range) => where_input_lies(operation, right, range, 0.0),
            None => Some(each(right, |_, _| 0.0)),
        },
        Fault::WrongBroadcast => layout::wrong_broadcast(operation, right),
        Fault::PadsSwapped => window::pads_swapped(operation, right),
        Fault::IgnoreTranspose => layout::ignore_transpose(operation, right),
        Fault::TileZero => layout::tile_zero(right, planted.tile.unwrap_or(TILE)),
        Fault::ChannelSwap => layout::channel_swap(right),
        Fault::PackSwap => layout::pack_swap(right),
        Fault::ConcatOffset => {
            layout::concat_offset(operation, right, planted.offset.unwrap_or(OFFSET))
        }
        Fault::PlusOne => Some(right.iter().map(plus_one).collect()),
        Fault::Random => Some(noise(right, moment.run)),
        Fault::ProcessNoise => Some(noise(right, std::process::id() as usize)),
        Fault::Liar => (!moment.watched).then(|| each(right, |_, value| value + 1.0)),
        Fault::Stale
        | Fault::Refuse
        | Fault::BuildError
        | Fault::ZeroOutput
        | Fault::DeviceLost
        | Fault::Abort
        | Fault::Segfault
        | Fault::Hang => None,
        _ => spot(planted, operation, right, storage, moment),
    }
}

/// The same for faults of few places.
fn spot(
    planted: &Planted,
    operation: &Operation<'_>,
    right: &[Tensor],
    storage: &StorageRules,
    moment: CurrentRun,
) -> Option<Vec<Tensor>> {
    match planted.fault {
        Fault::OneElement => {
            Some(spots::one_element(operation, right, planted.factor.unwrap_or(2.0)))
        }
        Fault::OneRow => Some(spots::one_row(operation, right, planted.factor.unwrap_or(SLIGHTLY))),
        Fault::QuietChannels => spots::to_each(right, spots::quiet_channels),
        Fault::LastTile => spots::last_tile(right, planted.tile.unwrap_or(TILE)),
        Fault::SomeUlps => Some(spots::some_ulps(right, storage, planted.ulps.unwrap_or(1))),
        Fault::LargeOnly => Some(spots::large_only(right, planted.factor.unwrap_or(SLIGHTLY))),
        Fault::NegativeOnly => {
            Some(spots::negative_only(right, planted.factor.unwrap_or(SLIGHTLY)))
        }
        Fault::SignLost => Some(each(right, |_, value| value.abs())),
        Fault::ReadOn => spots::read_on(operation, right),
        Fault::TermLost => spots::to_each(right, spots::term_lost),
        Fault::TailLost => spots::tail_lost(operation, right, LOST),
        Fault::BiasMissing => spots::bias_missing(operation, right),
        Fault::RowsSwapped => spots::to_each(right, spots::rows_swapped),
        Fault::Shifted => spots::to_each(right, spots::shifted),
        Fault::OneChannel => spots::one_channel(right, planted.factor.unwrap_or(2.0)),
        Fault::StaleSlot => layout::stale_slot(operation, right),
        Fault::ChannelCopied => spots::to_each(right, spots::channel_copied),
        Fault::Clipped => spots::to_each(right, spots::clipped),
        Fault::SmallLost => spots::to_each(right, spots::small_lost),
        Fault::DigitsLost => {
            let format = planted.format.unwrap_or(Format::Bf16);
            let kept = |value| round_f32(value, format, Rounding::NearestEven);
            Some(each(right, |_, value| kept(value)))
        }
        Fault::HalfSums => sums::in_f16(operation, right),
        Fault::SecondRun => (moment.run == 2).then(|| each(right, |_, _| 0.0)),
        _ => None,
    }
}

fn plus_one(right: &Tensor) -> Tensor {
    match right {
        Tensor::F32(array) => Tensor::F32(array.mapv(|value| value + 1.0)),
        Tensor::I32(array) => Tensor::I32(array.mapv(|value| value.wrapping_add(1))),
        Tensor::I64(array) => Tensor::I64(array.mapv(|value| value.wrapping_add(1))),
        other => other.clone(),
    }
}

/// Replaces non-finite values, if the document names a replacement.
fn instead(planted: &Planted, outputs: Option<Vec<Tensor>>) -> Option<Vec<Tensor>> {
    match planted.instead {
        Some(other) => {
            let kept = |_, value: f32| if value.is_finite() { value } else { other };
            outputs.map(|outputs| each(&outputs, kept))
        }
        None => outputs,
    }
}

/// Moves elements away from zero by this many steps of the format.
fn ulps(right: &[Tensor], storage: &StorageRules, ulps: u32) -> Vec<Tensor> {
    each(right, |_, value| {
        let kept = f64::from(storage.keep(value));
        let way = f64::from(ulps) * storage.format.step_at(kept);
        (kept + way.copysign(kept)) as f32
    })
}

/// Adds noise as large as the signal, different in every run.
fn noise(right: &[Tensor], run: usize) -> Vec<Tensor> {
    let largest = |output: &Tensor| match output {
        Tensor::F32(array) => {
            array.iter().filter(|v| v.is_finite()).fold(1.0f32, |max, v| max.max(v.abs()))
        }
        _ => 1.0,
    };
    let noisy = |output: &Tensor| {
        let (largest, mut random) = (largest(output), Random::new(run as u64));
        let mut output = output.clone();
        if let Tensor::F32(array) = &mut output {
            array.iter_mut().for_each(|v| *v += largest * (2.0 * random.unit() - 1.0) as f32);
        }
        output
    };
    right.iter().map(noisy).collect()
}
