//! How much room lies between honest operators and faults: the nearest of the one kind, the weakest of the other.

use crate::strategies::{Found, Weight};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Rows of each table.
const ROWS: usize = 20;

/// Collects what is nearest to the limit.
#[derive(Debug, Default)]
pub(crate) struct Margin {
    /// Of each type of operator and storage the largest, with its name: the same comes again with every feed.
    honest: BTreeMap<(String, String), (f64, String)>,
    /// Faults that were named, with their kinds.
    caught: Vec<(Weight, String)>,
}

impl Margin {
    /// Takes the operators of a walk in which these labels were planted, each with the name of its fault.
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
