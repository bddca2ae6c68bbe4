//! The conditions of a fault: its nodes and its runs.

use super::operation::{Operation, place_of};
use crate::tensor::Tensor;
use serde::{Deserialize, Serialize};

/// Conditions on a node and on a run; all given conditions must hold.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Condition {
    /// The ONNX op types of the nodes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub op: Vec<String>,
    /// The node's name, or its first output's if the node has none; `*` matches any letters, `?` matches one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The node's position in the order of execution.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index: Option<usize>,
    /// The ranks of the node's inputs, in order; omitted inputs are not counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rank: Option<Vec<usize>>,
    /// The least length of the longest axis of the node's first output.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_axis: Option<usize>,
    /// The extent of one axis of the node's first output.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extent: Option<Extent>,
    /// The share of runs with the fault, spread evenly: 0.5 means every second run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share: Option<f64>,
}

/// The extent of one axis: kernels are chosen by shapes, so faults depend on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Extent {
    /// The axis; negative numbers count from the last one.
    pub axis: i64,
    /// The least extent.
    #[serde(default)]
    pub from: usize,
    /// The largest extent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<usize>,
}

impl Extent {
    fn holds(self, shape: &[usize]) -> bool {
        let Some(at) = place_of(self.axis, shape.len()) else { return false };
        shape[at] >= self.from && self.to.is_none_or(|to| shape[at] <= to)
    }
}

impl Condition {
    /// Whether a fault can happen in this node.
    pub(super) fn holds(&self, operation: &Operation<'_>, right: &[Tensor]) -> bool {
        let node = operation.node;
        let ranks = || operation.inputs.iter().flatten().map(|input| input.shape().len());
        let longest = || right.first().and_then(|output| output.shape().iter().max().copied());
        (self.op.is_empty() || self.op.contains(&node.op_type))
            && self.name.as_deref().is_none_or(|pattern| matches(pattern, &node.label))
            && self.index.is_none_or(|index| index == node.index)
            && self.rank.as_ref().is_none_or(|wanted| ranks().eq(wanted.iter().copied()))
            && self.min_axis.is_none_or(|least| longest() >= Some(least))
            && self
                .extent
                .is_none_or(|extent| right.first().is_some_and(|o| extent.holds(o.shape())))
    }

    /// Whether the fault happens in this run, counted from 1.
    pub(super) fn happens(&self, run: usize) -> bool {
        let share = self.share.unwrap_or(1.0);
        let times = |runs: usize| (runs as f64 * share).floor();
        times(run) > times(run.saturating_sub(1))
    }

    /// Checks that the conditions make sense.
    pub(super) fn check(&self) -> Result<(), String> {
        match self.share {
            Some(share) if !(share > 0.0 && share <= 1.0) => {
                Err(format!("`share` is a share of the runs, above 0 and up to 1, not {share}"))
            }
            _ => Ok(()),
        }
    }
}

/// Whether a text matches a pattern of `*` and `?`.
fn matches(pattern: &str, text: &str) -> bool {
    match (pattern.chars().next(), text.chars().next()) {
        (None, None) => true,
        (Some('*'), _) => {
            let rest = &pattern[1..];
            matches(rest, text)
                || text.char_indices().any(|(at, c)| matches(rest, &text[at + c.len_utf8()..]))
        }
        (Some('?'), Some(c)) => matches(&pattern[1..], &text[c.len_utf8()..]),
        (Some(p), Some(c)) if p == c => matches(&pattern[p.len_utf8()..], &text[c.len_utf8()..]),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_names() {
        for (pattern, text, expected) in [
            ("/mlp/act/Erf", "/mlp/act/Erf", true),
            ("/mlp/*/Erf", "/mlp/act/Erf", true),
            ("*Erf", "/mlp/act/Erf_1", false),
            ("*", "", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn a_share_is_spread_evenly() {
        let happens = |share| {
            let condition = Condition { share: Some(share), ..Condition::default() };
            (1..=8).filter(|&run| condition.happens(run)).collect::<Vec<_>>()
        };
        assert_eq!(happens(0.5), [2, 4, 6, 8]);
        assert_eq!(happens(0.25), [4, 8]);
        assert_eq!(happens(1.0), [1, 2, 3, 4, 5, 6, 7, 8]);
    }
}
