//! The smallest value that fails in an operator that only passes values on. The tried values are the input's values,
//! and a grid between and below them.

use super::oracle::{Finding, Oracle, RunResult};
use super::specimen::Specimen;
use crate::tensor::Tensor;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// 2^-14, the start of the grid and the smallest normal number of `f16`. From here on, every storage format holds the
/// grid exactly, so rounding makes none of its values fail.
const FIRST: f32 = 1.0 / 16384.0;
/// The most values of the grid from one power of two to the next. They have six bits, and `bf16` has eight.
const FINEST: usize = 32;
/// The most runs for the grid. Each run tries as many values as the input has elements.
const MOST_RUNS: usize = 16;

/// The failing values of an operator that only passes values on. Untried values are unknown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Limit {
    /// The largest tried magnitude below the first failing magnitude. All tried magnitudes
    /// below are passed on exactly.
    pub exact_up_to: f32,
    /// The smallest tried magnitude that is not passed on.
    pub fails_at: f32,
    /// The value that the target returns instead.
    pub becomes: f32,
    /// Whether a tensor filled with the failing value fails, and a tensor filled with the value below it does not.
    #[serde(alias = "proven")]
    pub alone: bool,
    /// The number of tried values of the input.
    #[serde(default)]
    pub own: usize,
    /// The tried grid.
    #[serde(default)]
    pub grid: Option<Grid>,
}

/// Values of few bits: `(1 + j / steps) * 2^k` for all j below `steps`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Grid {
    /// The smallest tried value.
    pub from: f32,
    /// The largest tried value.
    pub to: f32,
    /// The number of values from one power of two to the next.
    pub steps: usize,
}

impl Limit {
    /// The limit in words:
    /// `of the values tried, those up to 2048 are exact; the smallest failing value is 2049, which becomes 2048`,
    /// and the tried values.
    pub fn sentence(&self) -> String {
        let Limit { exact_up_to, fails_at, becomes, alone, own, grid } = self;
        let alone = if *alone { "; tensors of either value alone show the same" } else { "" };
        let grid = grid.map_or(String::new(), |Grid { from, to, steps }| {
            format!(", and {steps} for each power of two from {from:e} to {to}")
        });
        format!(
            "of the values tried, those up to {exact_up_to} are exact; the smallest failing value is {fails_at}, which becomes {becomes}{alone}; tried were the {own} values of the input{grid}"
        )
    }
}

/// The result of one run for the values that it was fed.
struct Passed {
    /// The smallest magnitude that is not passed on, and the value returned instead.
    fails: Option<(f32, f32)>,
    /// All magnitudes that the reference passes on, as bits. For numbers of one sign, the order
    /// of the bits is the same.
    tried: BTreeSet<u32>,
}

impl Passed {
    /// The largest tried magnitude below `magnitude`.
    fn below(&self, magnitude: f32) -> Option<f32> {
        self.tried.range(..magnitude.to_bits()).next_back().map(|bits| f32::from_bits(*bits))
    }
}

/// Finds the failing values, if the reference's output contains only values of the input. If a tensor filled with the
/// smallest failing value also fails, the specimen becomes that tensor. `whole` is the specimen before the
/// shortening, with more room for values.
pub(super) fn find_limit(
    specimen: &mut Specimen,
    whole: &Specimen,
    finding: Finding,
    oracle: &mut Oracle<'_>,
) -> Option<Limit> {
    let own = passed(whole, &oracle.ask(whole))?;
    let (mut fails_at, mut becomes) = own.fails?;
    let mut exact_up_to = own.below(fails_at.abs());
    let grid = try_grid(whole, fails_at.abs(), oracle);
    if let Some((_, between)) = &grid {
        (fails_at, becomes) = between.fails.unwrap_or((fails_at, becomes));
        let below = [own.below(fails_at.abs()), between.below(fails_at.abs())];
        exact_up_to = below.into_iter().flatten().max_by(f32::total_cmp);
    }
    let exact_up_to = exact_up_to?;
    let (failing, exact) = (filled(specimen, fails_at)?, filled(specimen, exact_up_to)?);
    let alone = oracle.shows(&failing, finding) && oracle.ask(&exact).finding == Finding::Agrees;
    if alone {
        *specimen = failing;
    }
    let (own, grid) = (own.tried.len(), grid.map(|(grid, _)| grid));
    Some(Limit { exact_up_to, fails_at, becomes, alone, own, grid })
}

fn filled(specimen: &Specimen, value: f32) -> Option<Specimen> {
    let feed = specimen.feeds.first()?;
    let Tensor::F32(array) = &feed.tensor else { return None };
    let spec = format!("const:{value}");
    Some(specimen.refed(&feed.name, Tensor::F32(array.mapv(|_| value)), &spec))
}

/// Tries the grid's values below a limit, the smallest values first, up to the first run with a failure.
fn try_grid(specimen: &Specimen, limit: f32, oracle: &mut Oracle<'_>) -> Option<(Grid, Passed)> {
    let feed = specimen.feeds.first()?;
    let Tensor::F32(array) = &feed.tensor else { return None };
    let (steps, values) = grid(limit, array.len());
    let mut all = Passed { fails: None, tried: BTreeSet::new() };
    for batch in values.chunks(array.len().max(1)) {
        let mut cycle = batch.iter().cycle().copied();
        let tensor = Tensor::F32(array.mapv(|_| cycle.next().unwrap_or_default()));
        let fed = specimen.refed(&feed.name, tensor, "a grid of values");
        let Some(seen) = passed(&fed, &oracle.ask(&fed)) else { break };
        all.tried.extend(seen.tried);
        all.fails = seen.fails;
        if all.fails.is_some() {
            break;
        }
    }
    let [from, to] =
        [all.tried.first()?, all.tried.last()?].map(|magnitude| f32::from_bits(*magnitude));
    Some((Grid { from, to, steps }, all))
}

/// The grid below a limit, ascending, as fine as `room` values per run allow.
fn grid(limit: f32, room: usize) -> (usize, Vec<f32>) {
    let powers = || {
        std::iter::successors(Some(FIRST), |power| Some(power * 2.0))
            .take_while(|power| power.is_finite() && *power < limit)
    };
    let halved = std::iter::successors(Some(FINEST), |steps| Some(steps / 2));
    let fits = |steps: &usize| *steps <= 1 || steps * powers().count() <= MOST_RUNS * room;
    let steps = halved.into_iter().find(fits).unwrap_or(1).max(1);
    let values = powers()
        .flat_map(|power| (0..steps).map(move |step| power * (1.0 + step as f32 / steps as f32)));
    (steps, values.filter(|value| *value < limit).collect())
}

/// The result of a run for each value. `None` unless the reference only passes on values of its one input.
fn passed(specimen: &Specimen, seen: &RunResult) -> Option<Passed> {
    let [feed] = specimen.feeds.as_slice() else { return None };
    let (reference, candidate) = seen.worst.as_ref()?;
    let (Tensor::F32(fed), Tensor::F32(right), Tensor::F32(found)) =
        (&feed.tensor, &reference.tensor, &candidate.tensor)
    else {
        return None;
    };
    let fed: BTreeSet<u32> = fed.iter().map(|value| value.to_bits()).collect();
    if right.len() != found.len() || !right.iter().all(|value| fed.contains(&value.to_bits())) {
        return None;
    }
    let failing =
        right.iter().zip(found).filter(|(right, found)| right.to_bits() != found.to_bits());
    let fails = failing.min_by(|a, b| a.0.abs().total_cmp(&b.0.abs())).map(|(a, b)| (*a, *b));
    let tried = right.iter().map(|value| value.abs().to_bits()).collect();
    Some(Passed { fails, tried })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grid_is_exact_in_every_format_and_fits_its_runs() {
        let (steps, values) = grid(2.0, 64);
        assert_eq!((steps, values.len(), values[0]), (32, 15 * 32, FIRST));
        assert!(values.is_sorted() && values.iter().all(|v| v.to_bits().trailing_zeros() >= 18));
        assert!(values.contains(&0.546_875));
        let (steps, values) = grid(2.0, 4);
        assert_eq!((steps, values.len()), (4, 60));
        assert_eq!(grid(2.0, 0).0, 1);
        assert!(grid(1e-9, 64).1.is_empty());
        assert!(grid(f32::INFINITY, 64).1.len() <= 64 * MOST_RUNS);
    }
}
