//! Rounding explains every choice of an honest target, but not a planted choice.

use super::chooser::How;
use super::ranks::AxisRanking;
use super::{Choice, Chooser, Fed, look};
use crate::compare::{Agreement, Declared, Judging, Storage, Tolerance};
use crate::tensor::Tensor;
use ndarray::{ArrayD, IxDyn};
use proptest::prelude::*;

/// By how much a value may be off.
const SLACK: f32 = 0.01;
const RANKING: AxisRanking = AxisRanking { axis: 1, is_largest: true, is_ordered: true };
const RANKS: How = How::Ranks(RANKING);
const CORNERS: How = How::Boxes { is_centred: false };

fn chosen(how: How, fed: &[Fed], right: &Tensor, found: &Tensor) -> Choice {
    let chooser = Chooser { node: "n".into(), op_type: "TopK".into(), inputs: Vec::new(), how };
    let strict = Tolerance { atol: f64::from(SLACK) * 1.001, ..Tolerance::EXACT };
    let judging = Judging { strict, declared: Declared::Own, user: None };
    let fed: Vec<Option<Fed>> = fed.iter().cloned().map(Some).collect();
    look(&chooser, &fed, [right, found], |_| judging).unwrap()
}

fn computed(shape: &[usize], values: &[f32]) -> Fed {
    Fed { tensor: Tensor::from_f32(shape, values.to_vec()).unwrap(), is_computed: true }
}

fn indices(shape: &[usize], values: Vec<i64>) -> Tensor {
    ArrayD::from_shape_vec(IxDyn(shape), values).unwrap().into()
}

/// The first `count` positions of each row, the highest value first.
fn first(values: &[f32], extent: usize, count: usize) -> Vec<i64> {
    let rows = values.chunks(extent).flat_map(|row| {
        let mut order: Vec<usize> = (0..extent).collect();
        order.sort_by(|&a, &b| row[b].total_cmp(&row[a]).then(a.cmp(&b)));
        order.truncate(count);
        order
    });
    rows.map(|place| place as i64).collect()
}

/// The kept boxes of one class.
fn kept(corners: &[f32], scores: &[f32], most: usize, overlap: f32, least: f32) -> Vec<i64> {
    let area = |c: &[f32]| f64::from(c[2] - c[0]) * f64::from(c[3] - c[1]);
    let ratio = |a: &[f32], b: &[f32]| {
        let side =
            |axis: usize| f64::from((a[axis + 2].min(b[axis + 2]) - a[axis].max(b[axis])).max(0.0));
        let shared = side(0) * side(1);
        if shared > 0.0 { shared / (area(a) + area(b) - shared) } else { 0.0 }
    };
    let mut order: Vec<usize> = (0..scores.len()).filter(|&i| scores[i] > least).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]).then(a.cmp(&b)));
    let mut list: Vec<usize> = Vec::new();
    for index in order {
        let at = |index: usize| &corners[4 * index..4 * index + 4];
        if list.len() < most && list.iter().all(|&k| ratio(at(k), at(index)) <= f64::from(overlap))
        {
            list.push(index);
        }
    }
    list.into_iter().flat_map(|index| [0, 0, index as i64]).collect()
}

fn boxes_fed(corners: &[f32], scores: &[f32], [most, overlap, least]: [f32; 3]) -> Vec<Fed> {
    let given = |value: f32| Fed { is_computed: false, ..computed(&[1], &[value]) };
    let count = scores.len();
    vec![
        computed(&[1, count, 4], corners),
        computed(&[1, 1, count], scores),
        given(most),
        given(overlap),
        given(least),
    ]
}

/// Boxes by their corners, with sides of 0.2 to 0.4, at any position in the picture.
fn corners(places: &[(f32, f32, f32, f32)]) -> Vec<f32> {
    let boxes = places.iter().map(|&(x, y, w, h)| [x, y, x + 0.2 + 0.2 * w, y + 0.2 + 0.2 * h]);
    boxes.flatten().collect()
}

fn moved(values: &[f32], by: &[f32]) -> Vec<f32> {
    values.iter().zip(by).map(|(value, by)| value + by * SLACK).collect()
}

proptest! {
    #[test]
    fn ranks_of_values_that_rounding_moved_are_explained(
        values in prop::collection::vec((0i8..20).prop_map(|v| f32::from(v) * 0.007), 24),
        noise in prop::collection::vec(-1.0f32..1.0, 24),
        count in 1usize..6,
    ) {
        let right = indices(&[3, count], first(&values, 8, count));
        let found = indices(&[3, count], first(&moved(&values, &noise), 8, count));
        let choice = chosen(RANKS, &[computed(&[3, 8], &values)], &right, &found);
        prop_assert_eq!(choice.beyond, 0, "{:?}", choice);
        let unordered = How::Ranks(AxisRanking { axis: -1, is_ordered: false, ..RANKING });
        let choice = chosen(unordered, &[computed(&[3, 8], &values)], &right, &found);
        prop_assert_eq!(choice.beyond, 0, "{:?}", choice);
    }

    #[test]
    fn a_choice_that_is_too_far_away_is_not(
        values in prop::collection::vec(0.0f32..1.0, 8),
        index in 0usize..8,
    ) {
        let right = first(&values, 8, 1);
        let margin = values[right[0] as usize] - values[index];
        prop_assume!(margin > 2.1 * SLACK);
        let found = indices(&[1], vec![index as i64]);
        let choice = chosen(RANKS, &[computed(&[1, 8], &values)], &indices(&[1], right), &found);
        prop_assert_eq!((choice.changed, choice.beyond), (1, 1));
        prop_assert!((choice.margin.unwrap() - f64::from(margin)).abs() < 1e-6);
    }

    #[test]
    fn boxes_that_rounding_moved_are_explained(
        places in prop::collection::vec((0.0f32..0.6, 0.0f32..0.6, 0.0f32..1.0, 0.0f32..1.0), 12),
        scores in prop::collection::vec((0i8..40).prop_map(|v| f32::from(v) * 0.02), 12),
        noise in prop::collection::vec(-1.0f32..1.0, 60),
        most in 0usize..8,
    ) {
        let corners = corners(&places);
        let right = kept(&corners, &scores, most, 0.4, 0.3);
        let (a, b) = noise.split_at(48);
        let found = kept(&moved(&corners, a), &moved(&scores, b), most, 0.4, 0.3);
        let fed = boxes_fed(&corners, &scores, [most as f32, 0.4, 0.3]);
        let list = |rows: Vec<i64>| indices(&[rows.len() / 3, 3], rows);
        let choice = chosen(CORNERS, &fed, &list(right), &list(found));
        prop_assert_eq!(choice.beyond, 0, "{:?}", choice);
    }
}

#[test]
fn a_box_left_out_or_kept_without_a_reason_is_told() {
    // Two boxes that overlap wholly, and one apart.
    let places = [(0.0, 0.0, 0.5, 0.5), (0.0, 0.0, 0.5, 0.5), (0.6, 0.6, 0.5, 0.5)];
    let fed = boxes_fed(&corners(&places), &[0.9, 0.8, 0.7], [9.0, 0.5, 0.3]);
    let list = |places: &[i64]| {
        let rows = places.iter().flat_map(|&place| [0, 0, place]).collect();
        indices(&[places.len(), 3], rows)
    };
    let right = list(&[0, 2]);
    let beyond = |found: &[i64]| chosen(CORNERS, &fed, &right, &list(found)).beyond;
    assert_eq!(beyond(&[0, 2]), 0);
    // Box 2 is left out; box 1 is kept with box 0; the order is wrong.
    assert_eq!((beyond(&[0]), beyond(&[0, 1, 2]), beyond(&[2, 0])), (1, 1, 1));
    // A box that does not exist; a repeated box.
    assert_eq!((beyond(&[0, 2, 3]), beyond(&[0, 2, 2])), (1, 1));
    let found = chosen(CORNERS, &fed, &right, &list(&[0]));
    assert_eq!(found.changed, 1);
    assert!(found.judgement().words.contains("made 1 choice that rounding does not explain"));
}

#[test]
fn what_can_not_be_a_choice_has_no_distance() {
    let fed = [computed(&[1, 3], &[0.5, 0.495, f32::NEG_INFINITY])];
    let right = indices(&[1, 2], vec![0, 1]);
    let found =
        |indices_: [i64; 2]| chosen(RANKS, &fed, &right, &indices(&[1, 2], indices_.into()));
    let swapped = found([1, 0]);
    assert_eq!((swapped.changed, swapped.beyond), (2, 0));
    assert_eq!(swapped.judgement().agreement, Agreement::Explained);
    for wrong in [[0, 0], [0, 3], [0, -1], [0, 2]] {
        let choice = found(wrong);
        assert_eq!((choice.beyond, choice.margin), (1, None), "{wrong:?}");
        assert_eq!(choice.judgement().agreement, Agreement::Diverges);
    }
    let fed = [computed(&[1, 3], &[0.5, 0.495, f32::NAN])];
    let choice = chosen(RANKS, &fed, &right, &indices(&[1, 2], vec![1, 0]));
    assert_eq!((choice.beyond, choice.margin), (1, None));
}

/// Each rank is within reach, but no values put the second and the third first.
#[test]
fn the_best_may_not_be_left_out() {
    let fed = [computed(&[1, 4], &[1.0, 0.985, 0.97, 0.955])];
    let look = |found: Vec<i64>| {
        let (right, found) = (indices(&[1, 2], vec![0, 1]), indices(&[1, 2], found));
        chosen(RANKS, &fed, &right, &found).beyond
    };
    assert_eq!((look(vec![1, 2]), look(vec![1, 0]), look(vec![0, 2])), (1, 0, 0));
    let places = [(0.0, 0.0, 0.0, 0.0), (0.3, 0.0, 0.0, 0.0), (0.6, 0.0, 0.0, 0.0)];
    let fed = boxes_fed(&corners(&places), &[0.9, 0.885, 0.87], [2.0, 0.5, 0.3]);
    let list = |rows: [i64; 2]| indices(&[2, 3], vec![0, 0, rows[0], 0, 0, rows[1]]);
    let look = |found| chosen(CORNERS, &fed, &list([0, 1]), &list(found)).beyond;
    assert_eq!((look([2, 1]), look([1, 0]), look([0, 2])), (1, 0, 0));
}

#[test]
fn another_shape_and_another_order_are_no_choice() {
    let fed = [computed(&[2, 3], &[0.5, 0.3, 0.1, 0.1, 0.3, 0.5])];
    let chooser = Chooser { node: "n".into(), op_type: "TopK".into(), inputs: vec![], how: RANKS };
    let fed: Vec<Option<Fed>> = fed.into_iter().map(Some).collect();
    let judging = Judging { strict: Tolerance::EXACT, declared: Declared::Own, user: None };
    let (right, other) = (indices(&[2, 1], vec![0, 2]), indices(&[1, 2], vec![0, 2]));
    assert_eq!(look(&chooser, &fed, [&right, &other], |_| judging), None);
    let unordered = How::Ranks(AxisRanking { is_ordered: false, ..RANKING });
    let (right, found) = (indices(&[2, 2], vec![0, 1, 2, 1]), indices(&[2, 2], vec![1, 0, 2, 1]));
    let fed = [fed[0].clone().unwrap()];
    let choice = chosen(unordered, &fed, &right, &found);
    assert_eq!((choice.changed, choice.judgement().agreement), (0, Agreement::Agrees));
}

/// f16 keeps 1.00 and 1.03 well apart, but not 1.0000 and 1.0003.
#[test]
fn what_is_given_is_rounded_once() {
    let look_at = |a: f32, b: f32| {
        let fed = Fed { is_computed: false, ..computed(&[1, 2], &[a, b]) };
        let chooser =
            Chooser { node: "n".into(), op_type: "ArgMax".into(), inputs: vec![], how: RANKS };
        let half = Declared::Storage(Storage::named("f16").unwrap());
        let judging = Judging { strict: Tolerance::EXACT, declared: half, user: None };
        let pair = [&indices(&[1], vec![1]), &indices(&[1], vec![0])];
        look(&chooser, &[Some(fed)], pair, |_| judging).unwrap().beyond
    };
    assert_eq!((look_at(1.0, 1.03), look_at(1.0, 1.0003)), (1, 0));
}

#[test]
fn of_equal_values_that_are_given_the_first_one_counts() {
    let look = |is_computed: bool| {
        let fed = [Fed { is_computed, ..computed(&[1, 2], &[0.5, 0.5]) }];
        chosen(RANKS, &fed, &indices(&[1], vec![0]), &indices(&[1], vec![1])).beyond
    };
    assert_eq!((look(true), look(false)), (0, 1));
}
