//! A network as a line of positions, one for each node in the order of evaluation.
//!
//! Truncating at a position keeps the values that are alive there. They are already written, and are still to be read
//! or are final outputs. If only a single value is alive, every path runs through it. Such positions are the network's
//! dominators, and the cleanest places to cut.

use crate::engine::NodeSteps;
use crate::graph::ValueName;
use std::collections::BTreeMap;

/// The positions at which each value is written and last read.
#[derive(Debug, Clone)]
pub(super) struct Line {
    spans: Vec<LineSpan>,
}

#[derive(Debug, Clone)]
struct LineSpan {
    value: ValueName,
    written: usize,
    /// The last position that reads the value; beyond all positions for the network's outputs.
    read: usize,
}

impl Line {
    /// The line of a network.
    pub(super) fn of(steps: &NodeSteps, outputs: &[ValueName]) -> Self {
        let mut reads: BTreeMap<&str, usize> = BTreeMap::new();
        for step in 0..steps.len() {
            reads.extend(steps.reads(step).iter().map(|name| (name.as_str(), step)));
        }
        reads.extend(outputs.iter().map(|name| (name.as_str(), usize::MAX)));
        let written = (0..steps.len())
            .flat_map(|step| steps.writes(step).iter().map(move |value| (step, value.as_str())));
        let spans = written.filter_map(|(written, value)| {
            let read = *reads.get(value)?;
            Some(LineSpan { value: value.into(), written, read })
        });
        Line { spans: spans.collect() }
    }

    /// For each position, the number of values alive after it that were written at `start` or later.
    pub(super) fn widths(&self, start: usize) -> Vec<usize> {
        let end = self.spans.last().map_or(0, |span| span.written + 1);
        let (mut born, mut dead) = (vec![0; end], vec![0; end]);
        for span in
            self.spans.iter().filter(|span| span.written >= start && span.read > span.written)
        {
            born[span.written] += 1;
            if let Some(dead) = dead.get_mut(span.read) {
                *dead += 1;
            }
        }
        let mut width = 0;
        let change = born.into_iter().zip(dead);
        change
            .map(|(born, dead)| {
                width = width + born - dead;
                width
            })
            .collect()
    }

    /// The values alive after a position that were written at `start` or later.
    pub(super) fn alive(&self, start: usize, at: usize) -> Vec<ValueName> {
        let alive =
            |span: &&LineSpan| span.written >= start && span.written <= at && span.read > at;
        self.spans.iter().filter(alive).map(|span| span.value.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(value: &str, written: usize, read: usize) -> LineSpan {
        LineSpan { value: value.into(), written, read }
    }

    #[test]
    fn a_skip_connection_stays_alive_beside_its_branch() {
        // Value a feeds b, and also the sum d behind b and c.
        let spans =
            vec![span("a", 0, 3), span("b", 1, 2), span("c", 2, 3), span("d", 3, usize::MAX)];
        let line = Line { spans };
        let names = |values: Vec<ValueName>| {
            values.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(names(line.alive(0, 0)), "a");
        assert_eq!(names(line.alive(0, 1)), "a b");
        // Once a is known to be right, only the branch counts.
        assert_eq!(names(line.alive(1, 1)), "b");
        assert_eq!(names(line.alive(0, 3)), "d");
        for start in 0..4 {
            let widths: Vec<usize> = (0..4).map(|at| line.alive(start, at).len()).collect();
            assert_eq!(line.widths(start), widths, "from {start}");
        }
    }
}
