//! Runs of operators that do the same become one row.

use super::heat::Heat;
use crate::walk::{OpReport, Role};
use std::collections::BTreeSet;
use std::ops::Range;

/// Operators that follow each other in the order of execution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::report) struct DrawingRow {
    /// Their places in the walk.
    pub(in crate::report) ops: Range<usize>,
    /// The rows whose values they read.
    pub(in crate::report) reads: Vec<usize>,
}

impl DrawingRow {
    /// The operator, if the row has only one.
    pub(in crate::report) fn single(&self) -> Option<usize> {
        (self.ops.len() == 1).then_some(self.ops.start)
    }
}

/// A clean run of at most this many operators between operators that pass error on is joined to them.
const SHORT: usize = 3;

/// What a run of operators does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// The operator is shown alone.
    Alone,
    Clean,
    Passing,
}

/// Rows in which clean operators are joined, and operators that only pass error on.
pub(in crate::report) fn folded(ops: &[OpReport], accumulated: &[Heat]) -> Vec<DrawingRow> {
    let mut parts: Vec<Part> =
        ops.iter().zip(accumulated).map(|(op, heat)| part(op, *heat)).collect();
    let mut at: usize = 0;
    for run in lengths_of_runs(&parts) {
        let (before, after) = (at.checked_sub(1), at + run);
        let is_between = before.is_some_and(|before| parts[before] == Part::Passing)
            && parts.get(after) == Some(&Part::Passing);
        if parts[at] == Part::Clean && run <= SHORT && is_between {
            parts[at..after].fill(Part::Passing);
        }
        at = after;
    }
    let is_start =
        |at: &usize| *at == 0 || parts[*at] == Part::Alone || parts[*at] != parts[*at - 1];
    rows(ops, &(0..ops.len()).filter(is_start).collect::<Vec<_>>())
}

/// One row for each operator.
pub(in crate::report) fn unfolded(ops: &[OpReport]) -> Vec<DrawingRow> {
    rows(ops, &(0..ops.len()).collect::<Vec<_>>())
}

/// The lengths of the runs of equal parts.
fn lengths_of_runs(parts: &[Part]) -> Vec<usize> {
    parts.chunk_by(|a, b| a == b).map(<[Part]>::len).collect()
}

fn part(op: &OpReport, accumulated: Heat) -> Part {
    let is_alone = op.role == Role::Source || op.nonfinite.is_some() || op.handover.is_some();
    match (is_alone, accumulated.step()) {
        (true, _) => Part::Alone,
        (false, 0) => Part::Clean,
        (false, _) => Part::Passing,
    }
}

fn rows(ops: &[OpReport], starts: &[usize]) -> Vec<DrawingRow> {
    let row_of = |op: usize| starts.partition_point(|start| *start <= op).saturating_sub(1);
    let ends = starts.iter().skip(1).copied().chain([ops.len()]);
    let row = |(number, (start, end)): (usize, (usize, usize))| {
        let reads = ops[start..end].iter().flat_map(|op| &op.reads);
        let reads: BTreeSet<usize> = reads
            .filter(|op| **op < end)
            .map(|op| row_of(*op))
            .filter(|row| *row < number)
            .collect();
        DrawingRow { ops: start..end, reads: reads.into_iter().collect() }
    };
    starts.iter().copied().zip(ends).enumerate().map(row).collect()
}

/// The modules around an operator, from the outermost: as the exporter wrote them, or from the slashes of its name.
pub(in crate::report) fn module_of(op: &OpReport) -> Vec<&str> {
    if let Some(module) = op.exported.as_ref().and_then(|origin| origin.module.as_deref()) {
        return module.split('.').collect();
    }
    let name = op.onnx_node.as_deref().filter(|node| node.contains('/')).unwrap_or(&op.name);
    let parts: Vec<&str> = name.split('/').filter(|part| !part.is_empty()).collect();
    parts[..parts.len().saturating_sub(1)].to_vec()
}

/// The module that all these operators are in.
pub(in crate::report) fn shared_module(ops: &[OpReport]) -> String {
    let mut modules = ops.iter().map(module_of);
    let mut shared = modules.next().unwrap_or_default();
    for module in modules {
        let same = shared.iter().zip(&module).take_while(|(a, b)| a == b).count();
        shared.truncate(same);
    }
    shared.join("/")
}
