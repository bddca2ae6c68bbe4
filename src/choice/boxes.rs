//! `NonMaxSuppression`: the kept boxes, best first; a box is dropped if a kept one overlaps it too much.
//!
//! The check looks at a target's whole list, not at each row: one extra box moves all later boxes to other
//! rows. Each kept box must be allowed, in an allowed order. Each dropped box must have a reason: its score, a
//! kept box over it, or no place left.

use super::ranks::element;
use super::scores::{ChoiceTally, Distance, Scores};
use crate::tensor::Tensor;
use std::collections::{BTreeMap, BTreeSet};

/// By how much overlaps of equal boxes may differ if all else is exact: overlaps are computed in f32.
const ARITHMETIC: f64 = 1e-6;

/// The boxes, `[batch, boxes, 4]`, and their scores, `[batch, classes, boxes]`.
pub(super) struct Boxes {
    pub(super) corners: Scores,
    pub(super) scores: Scores,
    /// Whether a box is given by centre and size instead of two corners.
    pub(super) is_centred: bool,
}

/// The limits for keeping a box.
pub(super) struct BoxLimits {
    /// How many boxes of one class are kept at most.
    pub(super) most: f64,
    /// The largest allowed overlap with a kept box.
    pub(super) overlap: f64,
    /// The lowest score, if there is a limit.
    pub(super) score: Option<f64>,
}

/// The kept boxes of each batch and class, in order; and the number of rows that name no box or repeat a box.
struct KeptBoxes {
    lists: BTreeMap<(usize, usize), Vec<usize>>,
    broken: u64,
}

/// Judges the boxes that a target kept. `None` if a tensor has a different shape than ONNX demands.
pub(super) fn look(
    boxes: &Boxes,
    limits: &BoxLimits,
    [reference, candidate]: [&Tensor; 2],
) -> Option<ChoiceTally> {
    let (&[batches, count, 4], &[scored, classes, each]) =
        (&boxes.corners.shape[..], &boxes.scores.shape[..])
    else {
        return None;
    };
    if (scored, each) != (batches, count) || [reference, candidate].iter().any(|t| !is_list(t)) {
        return None;
    }
    // With such a limit ONNX keeps no box; tract reads it as no limit.
    if limits.most < 1.0 && !reference.is_empty() {
        return None;
    }
    let extents = [batches, classes, count];
    let (right, kept) = (KeptBoxes::read(reference, extents), KeptBoxes::read(candidate, extents));
    let mut tally = ChoiceTally::new();
    tally.changed = kept.broken + right.changes(&kept);
    (0..kept.broken).for_each(|_| tally.decide(Distance::NONE));
    for batch in 0..batches {
        for class in 0..classes {
            let [right, list] =
                [&right, &kept].map(|kept| kept.lists.get(&(batch, class)).map_or(&[][..], |l| l));
            if right != list {
                Class::new(boxes, limits, batch, class).look(list, &mut tally);
            }
        }
    }
    Some(tally)
}

fn is_list(tensor: &Tensor) -> bool {
    matches!(tensor.shape(), [_, 3])
}

impl KeptBoxes {
    fn read(rows: &Tensor, extents: [usize; 3]) -> Self {
        let mut kept = KeptBoxes { lists: BTreeMap::new(), broken: 0 };
        let mut seen = BTreeSet::new();
        for row in rows.numbers(1).chunks_exact(3) {
            let places = [0, 1, 2].map(|axis| element(row[axis], extents[axis]));
            match places {
                [Some(batch), Some(class), Some(index)] if seen.insert((batch, class, index)) => {
                    kept.lists.entry((batch, class)).or_default().push(index);
                }
                _ => kept.broken += 1,
            }
        }
        kept
    }

    /// How many boxes only one list has. If both have the same boxes, how many are at different places.
    fn changes(&self, other: &KeptBoxes) -> u64 {
        let all = |kept: &KeptBoxes| -> BTreeSet<(usize, usize, usize)> {
            let lists = kept.lists.iter();
            lists.flat_map(|(&(b, c), list)| list.iter().map(move |&i| (b, c, i))).collect()
        };
        let alone = all(self).symmetric_difference(&all(other)).count();
        let moved = || {
            let lists =
                self.lists.iter().filter_map(|(key, list)| Some((list, other.lists.get(key)?)));
            lists.map(|(a, b)| a.iter().zip(b).filter(|(a, b)| a != b).count()).sum()
        };
        (if alone > 0 { alone } else { moved() }) as u64
    }
}

/// The boxes of one class in one image.
struct Class<'a> {
    boxes: &'a Boxes,
    limits: &'a BoxLimits,
    /// The position of the first box's coordinates.
    corners: usize,
    scores: &'a [f64],
}

impl<'a> Class<'a> {
    fn new(boxes: &'a Boxes, limits: &'a BoxLimits, batch: usize, class: usize) -> Self {
        let (count, classes) = (boxes.corners.shape[1], boxes.scores.shape[1]);
        let start = (batch * classes + class) * count;
        let scores = &boxes.scores.values[start..start + count];
        Class { boxes, limits, corners: batch * count * 4, scores }
    }

    fn look(&self, list: &[usize], tally: &mut ChoiceTally) {
        let most = if self.limits.most < list.len() as f64 {
            self.limits.most as usize
        } else {
            list.len()
        };
        (most..list.len()).for_each(|_| tally.decide(Distance::NONE));
        let list = &list[..most];
        let mut lowest = f64::INFINITY;
        for (place, &index) in list.iter().enumerate() {
            tally.decide(self.may_be_kept(index, &list[..place], lowest));
            lowest = lowest.min(self.scores[index]);
        }
        let kept: BTreeSet<usize> = list.iter().copied().collect();
        let lowest = Some(lowest).filter(|_| list.len() as f64 >= self.limits.most);
        for index in (0..self.scores.len()).filter(|index| !kept.contains(index)) {
            tally.decide(self.may_be_left(index, list, lowest));
        }
    }

    /// The strongest reason against keeping a box after others; `lowest` is the lowest score of those others.
    fn may_be_kept(&self, index: usize, before: &[usize], lowest: f64) -> Distance {
        let score = self.scores[index];
        let above =
            self.limits.score.map(|limit| match score == limit && !self.boxes.scores.is_computed {
                // A box is kept only if its score is above the limit, and no rounding moved this score.
                true => Distance { is_explained: false, ..Distance::of(0.0, 0.0) },
                false => self.above(limit, score),
            });
        let ordered = self.above(score, lowest);
        let mut found = above.map_or(ordered, |above| ordered.further(above));
        for &other in before {
            if !found.is_explained {
                break;
            }
            let (overlap, slack) = self.overlap(index, other);
            let apart = Distance::of((overlap - self.limits.overlap).max(0.0), slack);
            found = found.further(apart);
        }
        found
    }

    /// The best reason for dropping a box; `lowest` is the lowest kept score if no place is left.
    fn may_be_left(&self, index: usize, list: &[usize], lowest: Option<f64>) -> Distance {
        let score = self.scores[index];
        let mut best = Distance::NONE;
        for limit in self.limits.score.into_iter().chain(lowest) {
            best = best.nearer(self.above(score, limit));
        }
        for &other in list {
            if best.margin == 0.0 && best.is_explained {
                break;
            }
            let before = self.above(score, self.scores[other]);
            // A box with a lower score suppresses no box with a higher score.
            if before.is_explained {
                let (overlap, slack) = self.overlap(index, other);
                let over = Distance::of((self.limits.overlap - overlap).max(0.0), slack);
                best = best.nearer(over.further(before));
            }
        }
        best
    }

    /// By how much one score is above a second score that must not be lower.
    fn above(&self, score: f64, other: f64) -> Distance {
        let slack = self.boxes.scores.slack(score) + self.boxes.scores.slack(other);
        match score.is_nan() || other.is_nan() {
            true => Distance::NONE,
            false => Distance::of((score - other).max(0.0), slack),
        }
    }

    /// Intersection over union of two boxes, and by how much rounding of their coordinates may change it.
    fn overlap(&self, a: usize, b: usize) -> (f64, f64) {
        let (a, b) = (self.corners_of(a), self.corners_of(b));
        let slack = a.iter().chain(&b).map(|&at| self.boxes.corners.slack(at)).fold(0.0, f64::max);
        // A side has two ends, and rounding may move both.
        let ratio = |by: f64| ratio_of(&a, &b, 2.0 * by);
        let exact = ratio(0.0);
        let change = (ratio(slack) - exact).max(exact - ratio(-slack)).max(0.0);
        (exact, change + ARITHMETIC)
    }

    /// The lower and then the upper end on both axes.
    fn corners_of(&self, index: usize) -> [f64; 4] {
        let at = self.corners + 4 * index;
        let [a, b, c, d] = [0, 1, 2, 3].map(|place| self.boxes.corners.values[at + place]);
        match self.boxes.is_centred {
            true => [a - c / 2.0, b - d / 2.0, a + c / 2.0, b + d / 2.0],
            // ONNX allows any two opposite corners.
            false => [a.min(c), b.min(d), a.max(c), b.max(d)],
        }
    }
}

/// Intersection over union, with the intersection's sides longer and the boxes' sides shorter by `by`.
fn ratio_of(a: &[f64; 4], b: &[f64; 4], by: f64) -> f64 {
    let side = |low: f64, high: f64, by: f64| (high - low + by).max(0.0);
    let shared = [0, 1].map(|axis| side(a[axis].max(b[axis]), a[axis + 2].min(b[axis + 2]), by));
    let shared = shared[0] * shared[1];
    let area =
        |corners: &[f64; 4]| side(corners[0], corners[2], -by) * side(corners[1], corners[3], -by);
    let union = area(a) + area(b) - shared;
    match (shared > 0.0, union > 0.0) {
        (false, _) => 0.0,
        (true, true) => (shared / union).min(1.0),
        (true, false) => 1.0,
    }
}
