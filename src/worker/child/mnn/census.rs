//! A tap that counts which backend ran each operator, and reads no element.

use super::session::{Op, RunTap, TensorRef};
use std::collections::BTreeMap;

/// Counts operators by the backend that holds their first output.
#[derive(Debug, Default)]
pub(super) struct OperatorCensus {
    /// The number of operators by backend.
    pub(super) operators: BTreeMap<String, usize>,
}

impl RunTap for OperatorCensus {
    fn before(&mut self, _: &Op, _: &[TensorRef<'_>]) -> bool {
        true
    }

    fn after(&mut self, _: &Op, outputs: &[TensorRef<'_>]) -> bool {
        let backend = outputs.first().map_or("unknown", TensorRef::backend);
        *self.operators.entry(backend.to_owned()).or_default() += 1;
        true
    }
}
