//! The matrix as it is saved: `schema: "offby.matrix/1"`. The file contains neither times nor the machine's
//! name, so equal cells are equal bytes.

use super::error::MATRIX_SCHEMA;
use super::{Cell, Changes, MatrixError};
use crate::graph::ValueName;
use crate::tensor::Digest;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Networks against targets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Matrix {
    /// [`MATRIX_SCHEMA`].
    pub schema: String,
    /// The versions of offby that filled it.
    pub made_by: BTreeSet<String>,
    /// The targets, in the order given.
    pub columns: Vec<Column>,
    /// The networks, in the order given.
    pub rows: Vec<MatrixRow>,
    /// Whether the user stopped the sweep. Cells that were not filled by then are missing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub interrupted: bool,
    /// The changes since an earlier matrix, if the matrix was compared with one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changes: Option<Changes>,
}

/// One target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// The target as `--on` names it.
    pub target: String,
    /// Whether the target is a simulated device, whose faults were planted.
    pub simulated: bool,
}

/// One network with its feeds, on one system.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MatrixRow {
    /// The network's or case's name.
    pub name: String,
    /// The machine, if the user named it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// The digest of the network's bytes.
    pub digest: Digest,
    /// How many nodes its graph has.
    pub nodes: usize,
    /// The types of its nodes; only for conformance tests, whose table is by operator.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub op_types: BTreeSet<String>,
    /// The tensors that the network was fed.
    pub inputs: Vec<RowInput>,
    /// The reference target.
    pub reference: String,
    /// The cells by target; a target that was not run is missing.
    pub cells: BTreeMap<String, Cell>,
}

/// The tensor that one input was fed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowInput {
    /// The input's name.
    pub name: ValueName,
    /// How the tensor was made: `normal:0`, or a file.
    pub spec: String,
    /// The digest of its bytes.
    pub digest: Digest,
}

impl Matrix {
    /// A matrix whose cells this version of offby fills.
    pub fn new(targets: impl IntoIterator<Item = String>, rows: Vec<MatrixRow>) -> Self {
        Matrix {
            schema: MATRIX_SCHEMA.into(),
            made_by: BTreeSet::from([env!("CARGO_PKG_VERSION").to_owned()]),
            columns: targets.into_iter().map(Column::new).collect(),
            rows,
            interrupted: false,
            changes: None,
        }
    }

    /// Every possible cell, row by row: its row, its target, and the cell if it was filled.
    pub fn cells(&self) -> impl Iterator<Item = (&MatrixRow, &str, Option<&Cell>)> {
        self.rows.iter().flat_map(|row| {
            let targets = self.columns.iter().map(|column| column.target.as_str());
            targets.map(move |target| (row, target, row.cells.get(target)))
        })
    }
}

impl Column {
    /// The column of a target.
    pub fn new(target: String) -> Self {
        let simulated = target.starts_with("sim:");
        Column { target, simulated }
    }
}

impl MatrixRow {
    /// The name and system that identify the row in other matrices.
    pub fn key(&self) -> (&str, Option<&str>) {
        (&self.name, self.system.as_deref())
    }

    /// Name and system as one text.
    pub fn label(&self) -> String {
        match &self.system {
            Some(system) => format!("{} on {system}", self.name),
            None => self.name.clone(),
        }
    }

    /// Whether the other row has the same network, the same feeds and the same reference.
    pub fn is_alike(&self, other: &MatrixRow) -> bool {
        let inputs = |row: &MatrixRow| -> Vec<(ValueName, Digest)> {
            row.inputs.iter().map(|input| (input.name.clone(), input.digest.clone())).collect()
        };
        self.digest == other.digest
            && self.reference == other.reference
            && inputs(self) == inputs(other)
    }
}

/// The schema of a file, read before all other fields.
#[derive(Deserialize)]
struct MatrixHead {
    #[serde(default)]
    schema: String,
}

/// Reads a matrix from the text of `file`.
///
/// # Errors
/// If the text is not JSON, has a different schema, or lacks a field that the schema requires.
pub fn read_matrix(file: &str, text: &str) -> Result<Matrix, MatrixError> {
    let json = |source| MatrixError::Json { file: file.to_owned(), source };
    let MatrixHead { schema } = serde_json::from_str(text).map_err(json)?;
    if schema != MATRIX_SCHEMA {
        return Err(MatrixError::Schema { file: file.to_owned(), schema });
    }
    serde_json::from_str(text).map_err(json)
}
