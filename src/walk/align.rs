//! Which value of one network is which value of another: by name, or else by its numbers.

use super::error_summary::error_summary;
use crate::engine::Values;
use crate::tensor::Tensor;
use std::collections::{BTreeMap, BTreeSet};

/// Two values are the same up to this relative L2 distance. A rewrite only rounds in another place, which costs less;
/// different values of a network are further apart.
const SAME: f64 = 1e-3;

/// The values of `second` by the names of `first`: equal names, and for the rest the nearest numbers.
///
/// Constant values are not matched by their numbers, for any two of them are alike. Also returns which values were
/// matched by their numbers alone.
pub fn align(first: &Values, second: &Values) -> (Values, BTreeSet<String>) {
    let mut aligned = Values::new();
    let mut by_numbers = BTreeSet::new();
    let mut taken = BTreeSet::new();
    for (name, tensor) in second.iter().filter(|(name, _)| first.contains_key(*name)) {
        taken.insert(name.as_str());
        aligned.insert(name.clone(), tensor.clone());
    }
    let mut free: BTreeMap<usize, Vec<(f64, &Tensor)>> = BTreeMap::new();
    for (_, tensor) in second.iter().filter(|(name, _)| !taken.contains(name.as_str())) {
        free.entry(tensor.len()).or_default().extend(norm(tensor).map(|norm| (norm, tensor)));
    }
    let rest: Vec<_> = first.iter().filter(|(name, _)| !aligned.contains_key(*name)).collect();
    for (name, tensor) in rest {
        let Some(wanted) = norm(tensor) else { continue };
        let near = free.get(&tensor.len()).into_iter().flatten();
        let near = near.filter(|(norm, _)| (norm - wanted).abs() <= SAME * wanted);
        let apart = |other: &Tensor| {
            let same = other.in_shape_of(tensor);
            Some(error_summary(tensor, same.as_ref().unwrap_or(other))?.rel_l2)
                .filter(|l2| *l2 <= SAME)
        };
        let best = near
            .filter_map(|(_, other)| Some((apart(other)?, *other)))
            .min_by(|a, b| a.0.total_cmp(&b.0));
        if let Some((_, other)) = best {
            by_numbers.insert(name.clone());
            aligned.insert(name.clone(), other.clone());
        }
    }
    (aligned, by_numbers)
}

/// The L2 norm of a tensor of floats that vary.
fn norm(tensor: &Tensor) -> Option<f64> {
    if !tensor.dtype().is_float() {
        return None;
    }
    let numbers = tensor.numbers(1);
    let first = numbers.first()?;
    let varies = numbers.iter().any(|number| number != first);
    let norm = numbers.iter().map(|number| number * number).sum::<f64>().sqrt();
    (varies && norm.is_finite() && norm > 0.0).then_some(norm)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_by_name_and_by_numbers() {
        let tensor = |values: &[f32]| Tensor::from_f32(&[values.len()], values.to_vec()).unwrap();
        let values = |pairs: &[(&str, &[f32])]| -> Values {
            pairs.iter().map(|(name, values)| ((*name).to_owned(), tensor(values))).collect()
        };
        let first = values(&[
            ("a", &[1.0, 2.0]),
            ("b", &[3.0, 4.0]),
            ("c", &[9.0, 1.0]),
            ("d", &[5.0, 5.0]),
        ]);
        let second = values(&[
            ("a", &[7.0, 8.0]),
            ("z", &[3.0001, 4.0]),
            ("y", &[1.0, 9.0]),
            ("x", &[5.0, 5.0]),
        ]);
        let aligned = align(&first, &second).0;
        assert_eq!(aligned["a"], tensor(&[7.0, 8.0]), "a name decides, whatever the numbers are");
        assert_eq!(aligned["b"], tensor(&[3.0001, 4.0]));
        assert!(!aligned.contains_key("c") && !aligned.contains_key("d"));
    }
}
