//! Several walks on one page: which operators introduce error on which target.

use super::numbers::size;
use super::page::address;
use crate::report::document::Report;
use crate::report::drawing::{Heat, introduced};
use crate::walk::{OpReport, Role, WalkReport};
use maud::{Markup, html};
use std::collections::BTreeMap;

/// The most operators in the table.
const MOST: usize = 60;

/// A walk with the target's name.
struct NamedWalk<'r> {
    title: String,
    walk: &'r WalkReport,
    /// The operators by ONNX node, or else by name.
    by_node: BTreeMap<&'r str, &'r OpReport>,
}

/// A table of the operators that introduce error on some target, if there are several walks.
pub(super) fn across(report: &Report) -> Option<Markup> {
    let walks: Vec<NamedWalk<'_>> = report
        .targets
        .iter()
        .filter_map(|target| {
            let walk = target.walk.as_ref()?;
            let title = match report.strategies {
                Some(_) => format!("{}, {}", target.target, walk.strategy),
                None => target.target.clone(),
            };
            let by_node = walk.ops.iter().map(|op| (node_of(op), op)).collect();
            Some(NamedWalk { title, walk, by_node })
        })
        .collect();
    let rows = rows(&walks);
    (walks.len() > 1 && !rows.is_empty()).then(|| {
        let left_out = rows.len().saturating_sub(MOST);
        html! {
            section #across aria-label="Targets compared" {
                h2 { "Operators on each target" }
                p.soft { "Each operator that introduces error on a target. Colour: its own error over its bound." }
                div.scroll tabindex="0" role="region" aria-label="Operators that introduce error, by target" {
                    table {
                        thead { tr {
                            th scope="col" { "operator" }
                            @for walk in &walks { th scope="col" { code { (walk.title) } } }
                        } }
                        tbody { @for node in rows.iter().take(MOST) { tr {
                            th scope="row" { code { (node) } }
                            @for (number, walk) in walks.iter().enumerate() { (cell(walk, number, node)) }
                        } } }
                    }
                }
                @if left_out > 0 { p.soft { "and " (left_out) " more." } }
            }
        }
    })
}

fn node_of(op: &OpReport) -> &str {
    op.onnx_node.as_deref().unwrap_or(&op.name)
}

/// The nodes of all sources, in the order in which the walks list them.
fn rows<'r>(walks: &[NamedWalk<'r>]) -> Vec<&'r str> {
    let mut rows: Vec<&str> = Vec::new();
    let sources =
        walks.iter().flat_map(|named| &named.walk.ops).filter(|op| op.role == Role::Source);
    for node in sources.map(node_of) {
        if !rows.contains(&node) {
            rows.push(node);
        }
    }
    rows
}

fn cell(walk: &NamedWalk<'_>, number: usize, node: &str) -> Markup {
    let Some(op) = walk.by_node.get(node) else { return html! { td.soft { "no such operator" } } };
    let heat = introduced(op);
    let said = match op.introduced {
        _ if heat == Heat::NONFINITE => "NaN or infinities".to_owned(),
        Some(introduced) => size(introduced),
        None => "not compared".to_owned(),
    };
    html! {
        td {
            span class={ "heat h" (heat.step()) } aria-hidden="true" {} " "
            a href=(address(number, op)) { (said) }
            @if op.role == Role::Source { " " small { "source" } }
        }
    }
}
