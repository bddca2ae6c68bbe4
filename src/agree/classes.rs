//! Class scores: which class has the highest, by how much, and what a changed class means.

use crate::tensor::Tensor;
use serde::{Deserialize, Serialize};

/// How many of the first classes are kept.
pub(super) const TOP: usize = 5;

/// The classes of one input, by the reference and by the target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Classes {
    /// The reference's first five classes, the best first; of equal scores the lower class comes first. Empty
    /// if a score is NaN, for then no order exists.
    pub reference: Vec<usize>,
    /// The target's first five classes.
    pub target: Vec<usize>,
    /// By how much the reference's first score is above its second.
    pub margin: Option<f64>,
    /// By how much the target's first score is above its second.
    pub target_margin: Option<f64>,
    /// How near the change was, if the class changed.
    pub flip: Option<ClassFlip>,
    /// What happened to the class.
    pub choice: ClassOutcome,
}

/// A class that changed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ClassFlip {
    /// How far apart the reference has its own class and the target's class.
    pub margin: f64,
    /// How far apart the two classes may be for rounding to swap them: how far the target's storage may move
    /// their difference. The target's actual error is not used, because it would explain every flip.
    pub floor: f64,
}

/// What happened to a class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClassOutcome {
    /// The target has the reference's class.
    Same,
    /// The class differs, and the reference has both so close that rounding may have chosen.
    Tie,
    /// The class differs, and rounding does not explain the change.
    Flipped,
    /// No class exists: a score is NaN on one side, or different scores are NaN on each side.
    None,
    /// The same scores are NaN on both sides: no class exists that the target could have lost.
    Neither,
}

impl Classes {
    /// Compares the reference's and the target's scores. `floor` is how far apart the reference may have two
    /// classes for rounding to swap them. `None` if the numbers of scores differ.
    pub(super) fn new(
        reference: &Tensor,
        target: &Tensor,
        floor: impl FnOnce([usize; 2]) -> f64,
    ) -> Option<Self> {
        let (r, t) = (reference.numbers(1), target.numbers(1));
        if r.len() != t.len() {
            return None;
        }
        let (first, second) = (top(&r), top(&t));
        let mut classes = Classes {
            margin: margin(&r, &first),
            target_margin: margin(&t, &second),
            flip: None,
            choice: ClassOutcome::None,
            reference: first,
            target: second,
        };
        let (Some(&a), Some(&b)) = (classes.reference.first(), classes.target.first()) else {
            let is_same = r.iter().zip(&t).all(|(r, t)| r.is_nan() == t.is_nan());
            classes.choice = if is_same { ClassOutcome::Neither } else { ClassOutcome::None };
            return Some(classes);
        };
        if a == b {
            classes.choice = ClassOutcome::Same;
            return Some(classes);
        }
        let flip = ClassFlip { margin: r[a] - r[b], floor: floor([a, b]) };
        classes.choice =
            if flip.margin <= flip.floor { ClassOutcome::Tie } else { ClassOutcome::Flipped };
        classes.flip = Some(flip).filter(|flip| flip.margin.is_finite() && flip.floor.is_finite());
        Some(classes)
    }

    /// Whether the reference's class is among the target's first five.
    pub fn is_among(&self) -> bool {
        self.reference.first().is_some_and(|class| self.target.contains(class))
    }
}

/// The first classes of a row of scores; none if a score is NaN.
fn top(scores: &[f64]) -> Vec<usize> {
    if scores.iter().any(|score| score.is_nan()) {
        return Vec::new();
    }
    let mut order: Vec<usize> = (0..scores.len()).collect();
    // Adding 0 turns -0 into 0.
    let better =
        |a: &usize, b: &usize| (scores[*b] + 0.0).total_cmp(&(scores[*a] + 0.0)).then(a.cmp(b));
    if order.len() > TOP {
        order.select_nth_unstable_by(TOP, better);
        order.truncate(TOP);
    }
    order.sort_by(better);
    order
}

fn margin(scores: &[f64], top: &[usize]) -> Option<f64> {
    let margin = scores.get(*top.first()?)? - scores.get(*top.get(1)?)?;
    margin.is_finite().then_some(margin)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn classes(reference: &[f32], target: &[f32]) -> Classes {
        let tensor =
            |scores: &[f32]| Tensor::from_f32(&[1, scores.len()], scores.to_vec()).unwrap();
        let floor = |[a, b]: [usize; 2]| f64::from(1e-2 * (reference[a] + reference[b]));
        Classes::new(&tensor(reference), &tensor(target), floor).unwrap()
    }

    #[test]
    fn a_flip_below_the_floor_is_a_tie() {
        let near = classes(&[0.500, 0.499, 0.0], &[0.499, 0.500, 0.0]);
        assert_eq!((near.choice, near.is_among()), (ClassOutcome::Tie, true));
        let far = classes(&[0.6, 0.4], &[0.4, 0.6]);
        assert_eq!(far.choice, ClassOutcome::Flipped);
        assert!((far.flip.unwrap().margin - 0.2).abs() < 1e-6);
        assert!((far.flip.unwrap().floor - 0.01).abs() < 1e-6);
        assert_eq!(classes(&[0.6, 0.4], &[0.9, 0.1]).choice, ClassOutcome::Same);
    }

    #[test]
    fn nan_has_no_class_and_equal_scores_the_lower_one() {
        let nan = classes(&[0.6, 0.4], &[f32::NAN, 0.6]);
        assert_eq!((nan.choice, nan.target.len()), (ClassOutcome::None, 0));
        assert_eq!(classes(&[f32::NAN, 0.6], &[0.6, f32::NAN]).choice, ClassOutcome::None);
        assert_eq!(classes(&[f32::NAN, 0.6], &[f32::NAN, 0.4]).choice, ClassOutcome::Neither);
        assert_eq!(classes(&[1.0, 1.0], &[0.0, -0.0]).choice, ClassOutcome::Same);
        let exact = classes(&[1.0, 1.0], &[0.0, 1.0]);
        assert_eq!((exact.choice, exact.margin), (ClassOutcome::Tie, Some(0.0)));
    }

    proptest! {
        #[test]
        fn the_first_five_are_those_of_a_full_sort(
            scores in prop::collection::vec(-3i32..3, 1..30),
        ) {
            let scores: Vec<f64> = scores.into_iter().map(f64::from).collect();
            let mut order: Vec<usize> = (0..scores.len()).collect();
            order.sort_by(|&a, &b| scores[b].partial_cmp(&scores[a]).unwrap().then(a.cmp(&b)));
            order.truncate(TOP);
            prop_assert_eq!(top(&scores), order);
        }
    }
}
