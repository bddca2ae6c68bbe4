//! Spearman's rank correlation of two tensors: whether both order their elements alike.

use crate::tensor::Tensor;

/// How many elements of a larger tensor are sampled, evenly strided.
const SAMPLE: usize = 1 << 16;

/// The correlation of the ranks of both tensors' elements, -1 to 1, over the pairs that are both finite; equal
/// elements share the mean of their ranks. `None` if fewer than two pairs are left, or if all elements of one
/// side are equal: then no order exists.
pub(super) fn rank_correlation(reference: &Tensor, candidate: &Tensor) -> Option<f64> {
    let pairs = sample(reference).into_iter().zip(sample(candidate));
    let pairs = pairs.filter(|(a, b)| a.is_finite() && b.is_finite());
    let (a, b): (Vec<f64>, Vec<f64>) = pairs.unzip();
    correlation(&ranks(&a), &ranks(&b))
}

/// At most [`SAMPLE`] elements as numbers.
fn sample(tensor: &Tensor) -> Vec<f64> {
    // An odd stride does not stay within one column.
    let stride = match tensor.len() {
        few if few <= SAMPLE => 1,
        many => many.div_ceil(SAMPLE) | 1,
    };
    tensor.numbers(stride)
}

/// The rank of each value, from 1; equal values share the mean of their ranks.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut start = 0;
    while start < order.len() {
        let same = order[start..].iter().take_while(|&&at| values[at] == values[order[start]]);
        let end = start + same.count();
        for &at in &order[start..end] {
            ranks[at] = f64::midpoint((start + 1) as f64, end as f64);
        }
        start = end;
    }
    ranks
}

/// Pearson's correlation.
fn correlation(a: &[f64], b: &[f64]) -> Option<f64> {
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let (mean_a, mean_b) = (mean(a), mean(b));
    let (mut product, mut square_a, mut square_b) = (0.0, 0.0, 0.0);
    for (a, b) in a.iter().zip(b) {
        let (a, b) = (a - mean_a, b - mean_b);
        product += a * b;
        square_a += a * a;
        square_b += b * b;
    }
    // One square root of both: the same order then yields exactly 1.
    let both = (square_a * square_b).sqrt();
    (both > 0.0).then(|| (product / both).clamp(-1.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(a: &[f32], b: &[f32]) -> Option<f64> {
        let tensor = |values: &[f32]| Tensor::from_f32(&[values.len()], values.to_vec()).unwrap();
        rank_correlation(&tensor(a), &tensor(b))
    }

    #[test]
    fn only_the_order_counts() {
        assert_eq!(of(&[1.0, 2.0, 3.0], &[10.0, 20.0, 1e9]), Some(1.0));
        assert_eq!(of(&[1.0, 2.0, 3.0], &[3.0, 2.0, 1.0]), Some(-1.0));
        // By hand: ranks 1 2 3 4 and 2 1 4 3, sum of d² 4, 1 - 6·4/(4·15) = 0.6.
        assert!((of(&[1.0, 2.0, 3.0, 4.0], &[5.0, 4.0, 9.0, 8.0]).unwrap() - 0.6).abs() < 1e-12);
    }

    #[test]
    fn ties_share_their_rank_and_no_order_has_no_correlation() {
        assert_eq!(ranks(&[5.0, 1.0, 5.0, 7.0]), [2.5, 1.0, 2.5, 4.0]);
        assert_eq!(ranks(&[0.0, -0.0]).len(), 2);
        assert_eq!(of(&[1.0, 1.0], &[1.0, 2.0]), None);
        assert_eq!(of(&[1.0], &[1.0]), None);
        assert_eq!(of(&[1.0, 2.0, f32::NAN], &[1.0, 2.0, 0.0]), Some(1.0));
    }
}
