//! Runs of operators that do the same become one row.

use crate::walk::{OpReport, Role};
use std::collections::BTreeSet;
use std::ops::Range;

/// Operators that follow each other in the order of execution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::report) struct Row {
    /// Their places in the walk.
    pub(in crate::report) ops: Range<usize>,
    /// The rows whose values they read.
    pub(in crate::report) reads: Vec<usize>,
}

impl Row {
    /// The operator, if the row has only one.
    pub(in crate::report) fn single(&self) -> Option<usize> {
        (self.ops.len() == 1).then_some(self.ops.start)
    }
}

/// Rows in which clean operators are joined, and operators that only pass error on. A run ends at a change of the
/// outermost module that has a part in the error, so that a run has a name.
pub(in crate::report) fn folded(ops: &[OpReport]) -> Vec<Row> {
    let mut starts = Vec::new();
    for at in 0..ops.len() {
        let joins = at > 0
            && is_plain(&ops[at])
            && ops[at].role == ops[at - 1].role
            && is_plain(&ops[at - 1]);
        if !joins {
            starts.push(at);
        }
    }
    rows(ops, &starts)
}

/// One row for each operator.
pub(in crate::report) fn unfolded(ops: &[OpReport]) -> Vec<Row> {
    rows(ops, &(0..ops.len()).collect::<Vec<_>>())
}

/// Whether an operator has nothing to show by itself.
fn is_plain(op: &OpReport) -> bool {
    matches!(op.role, Role::Clean | Role::Propagator)
        && op.nonfinite.is_none()
        && op.handover.is_none()
}

fn rows(ops: &[OpReport], starts: &[usize]) -> Vec<Row> {
    let row_of = |op: usize| starts.partition_point(|start| *start <= op).saturating_sub(1);
    let ends = starts.iter().skip(1).copied().chain([ops.len()]);
    let row = |(number, (start, end)): (usize, (usize, usize))| {
        let reads = ops[start..end].iter().flat_map(|op| &op.reads);
        let reads: BTreeSet<usize> = reads
            .filter(|op| **op < end)
            .map(|op| row_of(*op))
            .filter(|row| *row < number)
            .collect();
        Row { ops: start..end, reads: reads.into_iter().collect() }
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
