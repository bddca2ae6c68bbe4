//! The gap between honest operators and faults: the nearest honest operators, and the weakest named faults.

use crate::strategies::{Found, Weight};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Rows of each table.
const ROWS: usize = 20;

/// Collects the operators nearest to the limit.
#[derive(Debug, Default)]
pub(crate) struct Margin {
    /// The largest error of each operator type and storage, with the node's name: the same node returns with
    /// every feed.
    honest: BTreeMap<(String, String), (f64, String)>,
    /// The named faults, with their kinds.
    caught: Vec<(Weight, String)>,
}

impl Margin {
    /// Adds the operators of a walk; `planted` lists the planted labels, each with the name of its fault.
    pub(crate) fn add(&mut self, found: &Found, planted: &[(&'static str, String)]) {
        for (label, weight) in &found.weights {
            match planted.iter().find(|(_, planted)| planted == label) {
                None => {
                    let key = (weight.op_type.clone(), weight.format.clone());
                    let most = self.honest.entry(key).or_insert((0.0, String::new()));
                    if weight.excess > most.0 {
                        *most = (weight.excess, label.clone());
                    }
                }
                Some((kind, _)) if found.sources.contains(label) && weight.excess > 1.0 => {
                    self.caught.push((weight.clone(), (*kind).to_owned()));
                }
                Some(_) => {}
            }
        }
        self.caught.sort_by(|a, b| a.0.excess.total_cmp(&b.0.excess));
        self.caught.truncate(ROWS);
    }

    /// Both tables, in Markdown.
    pub(crate) fn text(&self) -> String {
        let mut text = "| honest operator | type | storage | largest error, in bounds |\n| --- | --- | --- | --- |\n".to_owned();
        let mut honest: Vec<_> = self.honest.iter().collect();
        honest.sort_by(|a, b| b.1.0.total_cmp(&a.1.0));
        for ((op_type, format), (excess, label)) in honest.into_iter().take(ROWS) {
            let _ = writeln!(text, "| `{label}` | {op_type} | {format} | {excess:.3} |");
        }
        text += "\n| fault that was named | type | storage | largest error, in bounds |\n| --- | --- | --- | --- |\n";
        for (weight, kind) in &self.caught {
            let Weight { op_type, format, excess } = weight;
            let _ = writeln!(text, "| `{kind}` | {op_type} | {format} | {excess:.2} |");
        }
        text
    }
}
