//! Compares several strategies on one target: the nodes they name, and the meaning of differences.

use crate::walk::{Strategy, WalkReport};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The nodes that the strategies name, and how these nodes agree.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StrategyAgreement {
    /// One sentence for each finding.
    pub sentences: Vec<String>,
    /// For each strategy the ONNX nodes it names, in order.
    pub named: Vec<Named>,
}

/// The nodes that one strategy names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Named {
    /// The strategy.
    pub strategy: Strategy,
    /// The ONNX nodes.
    pub nodes: Vec<String>,
    /// Whether the node is right on its inputs, and computes NaN or infinities because the inputs are wrong.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub inherited: bool,
    /// Why the strategy can name no node, if it can name none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silent: Option<String>,
}

/// Compares the walks of one target. A strategy without a walk did not finish.
pub fn compare_strategies(walks: &[(Strategy, Option<&WalkReport>)]) -> StrategyAgreement {
    let named: Vec<Named> = walks.iter().map(|(strategy, walk)| name(*strategy, *walk)).collect();
    let mut sentences: Vec<String> = named.iter().map(describe).collect();
    let converted = walks.iter().find_map(|(_, walk)| walk.as_ref().and_then(converted));
    sentences.extend(firsts(&named, converted.as_deref()));
    let find = |strategy: Strategy| {
        named.iter().find(|named| named.strategy == strategy && named.silent.is_none())
    };
    if let (Some(follow), Some(isolate)) = (find(Strategy::Follow), find(Strategy::Isolate)) {
        sentences.extend(differences(follow, isolate));
    }
    StrategyAgreement { sentences, named }
}

fn name(strategy: Strategy, walk: Option<&WalkReport>) -> Named {
    let silent = match walk {
        None => Some("the walk came to no end".to_owned()),
        Some(walk) if walk.disturbed_by_taps => {
            Some("watched, the target gives other bytes".to_owned())
        }
        Some(_) => None,
    };
    let named = walk.filter(|_| silent.is_none()).map(nodes).unwrap_or_default();
    let untimely = |walk: &WalkReport| walk.untimely.is_some() && walk.sources.is_empty();
    let inherited = silent.is_none() && walk.is_some_and(untimely);
    Named { strategy, nodes: named, inherited, silent }
}

/// The node at which the conversion already changed the network.
fn converted(walk: &&WalkReport) -> Option<String> {
    let first = walk.first_converted.as_ref()?;
    let op = walk.ops.iter().find(|op| op.name == *first);
    op.and_then(|op| op.onnx_node.clone()).or_else(|| Some(first.clone()))
}

fn nodes(walk: &WalkReport) -> Vec<String> {
    let node_of = |source: &String| {
        let op = walk.ops.iter().find(|op| op.name == *source);
        op.and_then(|op| op.onnx_node.clone()).unwrap_or_else(|| source.clone())
    };
    let mut seen = BTreeSet::new();
    let untimely = walk.untimely.iter().map(|found| &found.op).filter(|_| walk.sources.is_empty());
    let mut nodes: Vec<String> = walk.sources.iter().chain(untimely).map(node_of).collect();
    nodes.retain(|node| seen.insert(node.clone()));
    nodes
}

fn describe(named: &Named) -> String {
    let strategy = named.strategy;
    match (&named.silent, named.nodes.as_slice()) {
        (Some(why), _) => format!("{strategy} can name no node: {why}"),
        (None, []) => format!("{strategy} names no node"),
        (None, [only]) => format!("{strategy} names `{only}`"),
        (None, [first, rest @ ..]) => {
            format!("{strategy} names {} nodes, first `{first}`", rest.len() + 1)
        }
    }
}

/// Whether the strategies that can name a node name the same one; `None` with fewer than two of them.
fn firsts(named: &[Named], converted: Option<&str>) -> Option<String> {
    let speaking: Vec<&Named> = named.iter().filter(|named| named.silent.is_none()).collect();
    let firsts: BTreeSet<Option<&String>> =
        speaking.iter().map(|named| named.nodes.first()).collect();
    let all = match speaking.as_slice() {
        [] | [_] => return None,
        some if some.len() == named.len() => "all agree".to_owned(),
        some => {
            let names: Vec<&str> = some.iter().map(|named| named.strategy.name()).collect();
            format!("{} agree", names.join(" and "))
        }
    };
    let inherited = named.iter().find(|named| named.inherited).and_then(|n| n.nodes.first());
    let why = match converted {
        None if inherited.is_some() => format!(
            "`{}` is right on its inputs, and these are wrong only in the whole network",
            inherited.map_or("", String::as_str)
        ),
        Some(node) => format!(
            "the engine's own CPU differs from the reference at `{node}`, so the backend does not cause it"
        ),
        None => "a truncation ends fusion and reuse of memory where it cuts, taps and truncations can change the plan of an engine, and an error may be absorbed before it reaches an output".to_owned(),
    };
    Some(match (firsts.len(), firsts.first()) {
        (1, Some(Some(_))) => format!("{all} on the first node"),
        (1, Some(None)) => format!("{all} that no node is to blame"),
        _ => format!("they do not agree on the first node: {why}"),
    })
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
    if !in_context.is_empty() && !follow.inherited {
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

    fn named(strategy: Strategy, nodes: &[&str]) -> Named {
        Named {
            strategy,
            nodes: nodes.iter().map(|&node| node.to_owned()).collect(),
            inherited: false,
            silent: None,
        }
    }

    #[test]
    fn differences_are_told_from_both_sides() {
        let same = differences(
            &named(Strategy::Follow, &["a", "b"]),
            &named(Strategy::Isolate, &["b", "a"]),
        );
        assert_eq!(same, ["follow and isolate name the same nodes"]);
        let differ = differences(
            &named(Strategy::Follow, &["a", "b"]),
            &named(Strategy::Isolate, &["b", "c"]),
        );
        assert!(differ[0].starts_with("only in context: `a`"), "{differ:?}");
        assert!(differ[1].starts_with("only by itself: `c`"), "{differ:?}");
    }

    #[test]
    fn the_first_node_is_compared_over_all() {
        let firsts = |named: &[Named]| firsts(named, None).unwrap_or_default();
        let agree = [named(Strategy::Follow, &["a", "b"]), named(Strategy::Cut, &["a"])];
        assert_eq!(firsts(&agree), "all agree on the first node");
        assert!(
            firsts(&[named(Strategy::Follow, &["a"]), named(Strategy::Cut, &["b"])])
                .starts_with("they do not")
        );
        assert!(
            firsts(&[named(Strategy::Follow, &[]), named(Strategy::Cut, &[])]).contains("no node")
        );
    }

    #[test]
    fn who_can_name_none_is_not_asked() {
        let silent = name(Strategy::Follow, None);
        assert_eq!(describe(&silent), "follow can name no node: the walk came to no end");
        let three =
            [silent.clone(), named(Strategy::Cut, &["a"]), named(Strategy::Isolate, &["a"])];
        assert_eq!(firsts(&three, None).unwrap(), "cut and isolate agree on the first node");
        assert_eq!(firsts(&[silent, named(Strategy::Cut, &["a"])], None), None);
    }
}
