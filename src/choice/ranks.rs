//! `ArgMax`, `ArgMin` and `TopK`: the elements that come first along an axis.
//!
//! Moving every value by no more than e moves the value at each rank by no more than e. So an honest
//! target has at each rank an element whose value is no further from the right one's than twice that.

use super::scores::{Distance, Scores, Tally};
use std::collections::BTreeSet;

/// Looks at indices along an axis of the scores. `None` where they are not as many as that axis asks for.
pub(super) fn look(
    scores: &Scores,
    axis: i64,
    is_ordered: bool,
    [reference, candidate]: [&[f64]; 2],
) -> Option<Tally> {
    let axis =
        usize::try_from(if axis < 0 { axis + scores.shape.len() as i64 } else { axis }).ok()?;
    let extent = *scores.shape.get(axis)?;
    let inner: usize = scores.shape[axis + 1..].iter().product();
    let rows = scores.shape[..axis].iter().product::<usize>() * inner;
    if rows == 0 || reference.len() != candidate.len() || !reference.len().is_multiple_of(rows) {
        return None;
    }
    let ranks = reference.len() / rows;
    let mut tally = Tally::new();
    for row in 0..rows {
        let (outer, within) = (row / inner, row % inner);
        let value = |index: usize| scores.values[(outer * extent + index) * inner + within];
        let chosen = |indices: &[f64]| {
            let row = (0..ranks).map(|rank| indices[(outer * ranks + rank) * inner + within]);
            let mut row: Vec<Option<usize>> = row.map(|index| element(index, extent)).collect();
            if !is_ordered {
                let key = |index: &Option<usize>| index.map_or(f64::NAN, value);
                row.sort_by(|a, b| key(a).total_cmp(&key(b)).then(a.cmp(b)));
            }
            row
        };
        compare_row(&mut tally, scores, value, &chosen(reference), &chosen(candidate));
    }
    Some(tally)
}

fn compare_row(
    tally: &mut Tally,
    scores: &Scores,
    value: impl Fn(usize) -> f64,
    right: &[Option<usize>],
    chosen: &[Option<usize>],
) {
    let mut seen = BTreeSet::new();
    for (right, index) in right.iter().zip(chosen) {
        let is_repeated = !seen.insert(index);
        if right == index && !is_repeated {
            continue;
        }
        tally.changed += 1;
        let pair = right.zip(*index).filter(|_| !is_repeated);
        tally.decide(match pair {
            Some((right, index)) => scores.between(value(right), value(index)),
            None => Distance::NONE,
        });
    }
}

/// An index as a place of an axis.
pub(super) fn element(index: f64, extent: usize) -> Option<usize> {
    let place = index as usize;
    (place as f64 == index && place < extent).then_some(place)
}
