//! Several strategies on one target: which node each names, and what it means where they differ.

use crate::walk::{Role, WalkReport};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What the strategies name, and how that fits together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StrategyAgreement {
    /// One sentence for each thing to say.
    pub sentences: Vec<String>,
    /// For each strategy the ONNX nodes it names, in their order.
    pub named: Vec<Named>,
}

/// What one strategy names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named {
    /// `follow`, `cut` or `isolate`.
    pub strategy: String,
    /// ONNX nodes.
    pub nodes: Vec<String>,
}

/// Sets walks of one target side by side.
pub fn compare_strategies(walks: &[&WalkReport]) -> StrategyAgreement {
    let named: Vec<Named> = walks.iter().map(|walk| name(walk)).collect();
    let mut sentences: Vec<String> = named.iter().map(describe).collect();
    sentences.push(firsts(&named));
    let find = |strategy: &str| named.iter().find(|named| named.strategy == strategy);
    if let (Some(follow), Some(isolate)) = (find("follow"), find("isolate")) {
        sentences.extend(differences(follow, isolate));
    }
    StrategyAgreement { sentences, named }
}

fn name(walk: &WalkReport) -> Named {
    let node_of = |source: &String| {
        let op = walk.ops.iter().find(|op| op.name == *source && op.role == Role::Source);
        op.and_then(|op| op.onnx_node.clone()).unwrap_or_else(|| source.clone())
    };
    let mut seen = BTreeSet::new();
    let mut nodes: Vec<String> = walk.sources.iter().map(node_of).collect();
    nodes.retain(|node| seen.insert(node.clone()));
    Named { strategy: walk.strategy.clone(), nodes }
}

fn describe(named: &Named) -> String {
    match named.nodes.as_slice() {
        [] => format!("{} names no node", named.strategy),
        [only] => format!("{} names `{only}`", named.strategy),
        [first, rest @ ..] => {
            format!("{} names {} nodes, first `{first}`", named.strategy, rest.len() + 1)
        }
    }
}

fn firsts(named: &[Named]) -> String {
    let firsts: BTreeSet<Option<&String>> = named.iter().map(|named| named.nodes.first()).collect();
    match (firsts.len(), firsts.first()) {
        (1, Some(Some(_))) => "all agree on the first node".into(),
        (1, Some(None)) => "all agree that no node is to blame".into(),
        _ => "they do not agree on the first node: a truncation ends fusion and reuse of memory where it cuts, taps and truncations can change the plan of an engine, and an error may be absorbed before it reaches an output".into(),
    }
}

fn differences(follow: &Named, isolate: &Named) -> Vec<String> {
    let only = |a: &Named, b: &Named| -> Vec<String> {
        a.nodes.iter().filter(|node| !b.nodes.contains(node)).map(|n| format!("`{n}`")).collect()
    };
    let (in_context, by_itself) = (only(follow, isolate), only(isolate, follow));
    let mut sentences = Vec::new();
    if in_context.is_empty() && by_itself.is_empty() && !follow.nodes.is_empty() {
        sentences.push("follow and isolate name the same nodes".into());
    }
    if !in_context.is_empty() {
        sentences.push(format!(
            "only in context: {}; by itself, on the reference's values, each is right: fusion, layouts or reused memory are to blame, or values that only occur there",
            in_context.join(", ")
        ));
    }
    if !by_itself.is_empty() {
        sentences.push(format!(
            "only by itself: {}; in the whole network the engine fuses or replaces it, or the wrong values do not occur there",
            by_itself.join(", ")
        ));
    }
    sentences
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(strategy: &str, nodes: &[&str]) -> Named {
        Named {
            strategy: strategy.into(),
            nodes: nodes.iter().map(|&node| node.to_owned()).collect(),
        }
    }

    #[test]
    fn differences_are_told_from_both_sides() {
        let same = differences(&named("follow", &["a", "b"]), &named("isolate", &["b", "a"]));
        assert_eq!(same, ["follow and isolate name the same nodes"]);
        let differ = differences(&named("follow", &["a", "b"]), &named("isolate", &["b", "c"]));
        assert!(differ[0].starts_with("only in context: `a`"), "{differ:?}");
        assert!(differ[1].starts_with("only by itself: `c`"), "{differ:?}");
    }

    #[test]
    fn the_first_node_is_compared_over_all() {
        assert!(firsts(&[named("follow", &["a", "b"]), named("cut", &["a"])]).starts_with("all"));
        assert!(
            firsts(&[named("follow", &["a"]), named("cut", &["b"])]).starts_with("they do not")
        );
        assert!(firsts(&[named("follow", &[]), named("cut", &[])]).contains("no node"));
    }
}
