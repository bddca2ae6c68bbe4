//! `ArgMax`, `ArgMin` and `TopK`: the elements that come first along an axis.
//!
//! A list is right for some values within their slack exactly under two conditions. None of its elements is
//! surely before an element that the list puts earlier. No omitted element is surely before a listed one. A
//! value and its slack grow together, so the lowest earlier value and the highest omitted one are enough.

use super::scores::{ChoiceTally, Distance, Scores};
use std::collections::BTreeSet;

/// Which elements come first along an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct AxisRanking {
    pub(super) axis: i64,
    /// Whether the highest values come first instead of the lowest.
    pub(super) is_largest: bool,
    /// Whether the chosen elements are in order.
    pub(super) is_ordered: bool,
}

/// Judges indices along an axis of the scores. `None` if their number does not fit the axis.
pub(super) fn look(
    scores: &Scores,
    ranking: AxisRanking,
    [reference, candidate]: [&[f64]; 2],
) -> Option<ChoiceTally> {
    let AxisRanking { axis, is_largest, is_ordered } = ranking;
    let axis = if axis < 0 { axis + scores.shape.len() as i64 } else { axis };
    let axis = usize::try_from(axis).ok()?;
    let extent = *scores.shape.get(axis)?;
    let inner: usize = scores.shape[axis + 1..].iter().product();
    let rows = scores.shape[..axis].iter().product::<usize>() * inner;
    if rows == 0 || reference.len() != candidate.len() || !reference.len().is_multiple_of(rows) {
        return None;
    }
    let ranks = reference.len() / rows;
    let mut tally = ChoiceTally::new();
    for row in 0..rows {
        let (outer, within) = (row / inner, row % inner);
        let at = |rank: usize| (outer * ranks + rank) * inner + within;
        if (0..ranks).all(|rank| reference[at(rank)] == candidate[at(rank)]) {
            continue;
        }
        let chosen = |indices: &[f64]| -> Vec<Option<usize>> {
            (0..ranks).map(|rank| element(indices[at(rank)], extent)).collect()
        };
        let sign = if is_largest { 1.0 } else { -1.0 };
        let value = |index: usize| sign * scores.values[(outer * extent + index) * inner + within];
        let row = RankedRow { scores, values: (0..extent).map(value).collect(), is_ordered };
        row.compare(&chosen(reference), &chosen(candidate), &mut tally);
    }
    Some(tally)
}

/// The values along the axis; the highest come first.
struct RankedRow<'a> {
    scores: &'a Scores,
    values: Vec<f64>,
    is_ordered: bool,
}

impl RankedRow<'_> {
    fn compare(&self, right: &[Option<usize>], chosen: &[Option<usize>], tally: &mut ChoiceTally) {
        let set: BTreeSet<usize> = chosen.iter().copied().flatten().collect();
        tally.changed += match self.is_ordered {
            true => right.iter().zip(chosen).filter(|(a, b)| a != b).count(),
            false => right.iter().flatten().filter(|index| !set.contains(index)).count(),
        } as u64;
        let is_nan = self.values.iter().any(|value| value.is_nan());
        let broken = chosen.len() - set.len();
        (0..broken + usize::from(is_nan)).for_each(|_| tally.decide(Distance::NONE));
        if is_nan || set.is_empty() {
            return;
        }
        let mut lowest = f64::INFINITY;
        for index in chosen.iter().flatten() {
            let value = self.values[*index];
            if self.is_ordered && value > lowest {
                tally.decide(self.scores.between(value, lowest));
            }
            lowest = lowest.min(value);
        }
        let left = (0..self.values.len()).filter(|index| !set.contains(index));
        let highest = left.map(|index| self.values[index]).fold(f64::NEG_INFINITY, f64::max);
        if highest > lowest {
            tally.decide(self.scores.between(highest, lowest));
        }
        if self.is_ordered {
            self.look_at_equal_ones(right, chosen, tally);
        }
    }

    /// ONNX defines which of two equal values comes first.
    fn look_at_equal_ones(
        &self,
        right: &[Option<usize>],
        chosen: &[Option<usize>],
        tally: &mut ChoiceTally,
    ) {
        for (a, b) in right.iter().zip(chosen).filter_map(|(a, b)| a.zip(*b)) {
            if a != b && self.values[a] == self.values[b] {
                tally.decide(self.scores.between(self.values[a], self.values[b]));
            }
        }
    }
}

/// An index as a position on an axis.
pub(super) fn element(index: f64, extent: usize) -> Option<usize> {
    let place = index as usize;
    (place as f64 == index && place < extent).then_some(place)
}
