//! What changed from an earlier matrix to this one.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How a cell changed since the earlier matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CellState {
    /// The cell is wrong; before, it was right, or wrong in a different way.
    New,
    /// The cell is right; before, it was wrong.
    Fixed,
    /// The cell is right as before, or wrong as before.
    Same,
    /// One of the two cells is not known, or their rows differ in network, feeds or reference.
    Unknown,
}

impl CellState {
    /// The name used in reports.
    pub fn name(self) -> &'static str {
        match self {
            CellState::New => "new",
            CellState::Fixed => "fixed",
            CellState::Same => "same",
            CellState::Unknown => "unknown",
        }
    }
}

/// One cell, before and now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CellChange {
    /// The row, by name and system.
    pub row: String,
    /// The target.
    pub target: String,
    /// How the cell changed.
    pub state: CellState,
    /// The cell before and the cell now, in words.
    pub words: String,
}

/// Every cell that either matrix contains.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changes {
    /// The file of the earlier matrix.
    pub earlier: String,
    /// The cells in the order of rows and columns; cells of the earlier matrix alone come last.
    pub cells: Vec<CellChange>,
}

impl Changes {
    /// The number of cells in each state.
    pub fn counts(&self) -> BTreeMap<CellState, usize> {
        let mut counts = BTreeMap::new();
        for change in &self.cells {
            *counts.entry(change.state).or_default() += 1;
        }
        counts
    }
}
