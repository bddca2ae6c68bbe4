//! Maps an engine's operator names back to ONNX nodes.

use std::collections::BTreeMap;

/// Separators between an ONNX value's name and the converter's suffix.
const SEPARATORS: &[&str] = &["_raster_", "__", "___", "_tr4", "_matmul", "#"];

/// Finds each operator's ONNX node by the operator's own name, if that contains the name of a value or node. Otherwise
/// returns the span between the nearest named neighbours, as `between A and B`.
pub fn map_to_nodes(
    operators: &[String],
    values: &BTreeMap<String, String>,
) -> (Vec<Option<String>>, f64) {
    let direct: Vec<Option<&String>> = operators.iter().map(|name| node_of(name, values)).collect();
    let mapped = direct.iter().filter(|node| node.is_some()).count();
    let share = if operators.is_empty() { 1.0 } else { mapped as f64 / operators.len() as f64 };
    let spans = (0..direct.len()).map(|index| match direct[index] {
        Some(node) => Some(node.clone()),
        None => span(&direct, index),
    });
    (spans.collect(), share)
}

fn span(direct: &[Option<&String>], index: usize) -> Option<String> {
    let before = direct[..index].iter().rev().flatten().next();
    let after = direct[index..].iter().flatten().next();
    match (before, after) {
        (Some(before), Some(after)) if before == after => Some((*before).clone()),
        (Some(before), Some(after)) => Some(format!("between {before} and {after}")),
        (Some(before), None) => Some(format!("after {before}")),
        (None, Some(after)) => Some(format!("before {after}")),
        (None, None) => None,
    }
}

/// The node of the longest value name that the operator's name begins with.
fn node_of<'a>(operator: &str, values: &'a BTreeMap<String, String>) -> Option<&'a String> {
    if let Some(node) = values.get(operator) {
        return Some(node);
    }
    without_suffixes(operator).into_iter().find_map(|value| values.get(value))
}

/// The names that an operator's name begins with, before a suffix of the converter, the longest first.
pub fn without_suffixes(operator: &str) -> Vec<&str> {
    let ends =
        SEPARATORS.iter().flat_map(|separator| operator.match_indices(separator)).map(|(at, _)| at);
    let mut ends: Vec<usize> = ends.filter(|&at| at > 0).collect();
    ends.sort_unstable_by(|a, b| b.cmp(a));
    ends.into_iter().map(|at| &operator[..at]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suffixes_fall_away_and_the_nameless_get_a_span() {
        let values = [("/Mul_output_0", "/Mul"), ("/Softmax_output_0", "/Softmax"), ("c__1", "c")];
        let values =
            values.iter().map(|(value, node)| ((*value).to_owned(), (*node).to_owned())).collect();
        let operators: Vec<String> = [
            "/Mul_output_0__matmul_converted",
            "BinaryOp4",
            "/Softmax_output_0_raster_0",
            "c__1_raster_1",
            "Raster7",
        ]
        .iter()
        .map(|&name| name.to_owned())
        .collect();
        let (nodes, share) = map_to_nodes(&operators, &values);
        let nodes: Vec<&str> = nodes.iter().map(|node| node.as_deref().unwrap()).collect();
        assert_eq!(nodes, ["/Mul", "between /Mul and /Softmax", "/Softmax", "c", "after c"]);
        assert_eq!(share, 0.6);
    }
}
