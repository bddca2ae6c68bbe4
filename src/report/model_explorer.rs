//! The errors of operators as node data for Google's Model Explorer: a value for each node, and colours by decades.

use super::document::Report;
use super::drawing::introduced;
use crate::walk::OpReport;
use serde::Serialize;
use std::collections::BTreeMap;

/// The colours of the steps, as on the page.
const COLOURS: [&str; 7] =
    ["#b9c3cf", "#f2c14e", "#ee9b3a", "#e4702c", "#cf4426", "#a92420", "#7a2bbf"];

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct GraphNodeData {
    name: String,
    results: BTreeMap<String, Value>,
    thresholds: Vec<ColorThreshold>,
}

#[derive(Serialize)]
struct Value {
    value: u8,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ColorThreshold {
    value: u8,
    bg_color: &'static str,
}

/// The node data of the first walk. The value of a node is the power of ten of its error over its bound: 0 is within
/// the bound, and 7 is NaN. The keys are names of ONNX nodes and values, as Model Explorer has them.
pub(super) fn model_explorer(report: &Report) -> String {
    let walked = report.targets.iter().find_map(|target| Some((target, target.walk.as_ref()?)));
    let mut results: BTreeMap<String, Value> = BTreeMap::new();
    for op in walked.iter().flat_map(|(_, walk)| &walk.ops) {
        let value = introduced(op).step();
        for key in keys(op) {
            let kept = results.entry(key).or_insert(Value { value });
            kept.value = kept.value.max(value);
        }
    }
    let steps = [0, 1, 2, 3, 4, 6, 7];
    let thresholds = steps.into_iter().zip(COLOURS);
    let data = GraphNodeData {
        name: walked.map_or_else(String::new, |(target, _)| format!("offby {}", target.target)),
        results,
        thresholds: thresholds
            .map(|(value, bg_color)| ColorThreshold { value, bg_color })
            .collect(),
    };
    serde_json::to_string_pretty(&data).expect("strings and numbers can be written") + "\n"
}

fn keys(op: &OpReport) -> Vec<String> {
    let mut keys = vec![op.name.clone()];
    keys.extend(op.onnx_node.iter().filter(|node| **node != op.name).cloned());
    keys
}
