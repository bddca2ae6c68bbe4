//! The matrix as it is saved: `schema: "offby.matrix/1"`. Neither times nor the machine's name stand in
//! it, so that the same cells are the same bytes.

use super::{Cell, Changes, MatrixError};
use crate::graph::ValueName;
use crate::tensor::Digest;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The schema this version writes.
pub const MATRIX_SCHEMA: &str = "offby.matrix/1";

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
    pub rows: Vec<Row>,
    /// Whether the user ended the sweep: cells that it had not filled by then are not there.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub interrupted: bool,
    /// What changed since an earlier matrix, where it was set beside one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changes: Option<Changes>,
}

/// One target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// The target as `--on` names it.
    pub target: String,
    /// Whether it is a simulated device, whose faults were planted.
    pub simulated: bool,
}

/// One network, with what it is fed, on one system.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The network's or case's name.
    pub name: String,
    /// The machine, where the user named it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// The digest of the network's bytes.
    pub digest: Digest,
    /// How many nodes its graph has.
    pub nodes: usize,
    /// The types of its nodes; told of conformance tests, whose table is by operator.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub op_types: BTreeSet<String>,
    /// What it was fed.
    pub inputs: Vec<RowInput>,
    /// The reference target.
    pub reference: String,
    /// What is known of it, by target; what is not there was not run.
    pub cells: BTreeMap<String, Cell>,
}

/// What one input was fed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowInput {
    /// The input's name.
    pub name: ValueName,
    /// How its tensor was made: `normal:0`, or a file.
    pub spec: String,
    /// The digest of its bytes.
    pub digest: Digest,
}

impl Matrix {
    /// A matrix whose cells this version of offby fills.
    pub fn new(targets: impl IntoIterator<Item = String>, rows: Vec<Row>) -> Self {
        Matrix {
            schema: MATRIX_SCHEMA.into(),
            made_by: BTreeSet::from([env!("CARGO_PKG_VERSION").to_owned()]),
            columns: targets.into_iter().map(Column::new).collect(),
            rows,
            interrupted: false,
            changes: None,
        }
    }

    /// Every cell there could be, row by row: its row, its target, and what is known of it.
    pub fn cells(&self) -> impl Iterator<Item = (&Row, &str, Option<&Cell>)> {
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

impl Row {
    /// By what a row is found in another matrix.
    pub fn key(&self) -> (&str, Option<&str>) {
        (&self.name, self.system.as_deref())
    }

    /// Name and system in one word.
    pub fn label(&self) -> String {
        match &self.system {
            Some(system) => format!("{} on {system}", self.name),
            None => self.name.clone(),
        }
    }

    /// Whether the other row is about the same network, fed alike, against the same reference.
    pub fn is_alike(&self, other: &Row) -> bool {
        let inputs = |row: &Row| -> Vec<(ValueName, Digest)> {
            row.inputs.iter().map(|input| (input.name.clone(), input.digest.clone())).collect()
        };
        self.digest == other.digest
            && self.reference == other.reference
            && inputs(self) == inputs(other)
    }
}

/// The first look at a file.
#[derive(Deserialize)]
struct Head {
    #[serde(default)]
    schema: String,
}

/// Reads a matrix, the text of `file`.
///
/// # Errors
/// When it is no JSON, has another schema, or lacks what the schema demands.
pub fn read_matrix(file: &str, text: &str) -> Result<Matrix, MatrixError> {
    let json = |source| MatrixError::Json { file: file.to_owned(), source };
    let Head { schema } = serde_json::from_str(text).map_err(json)?;
    if schema != MATRIX_SCHEMA {
        return Err(MatrixError::Schema { file: file.to_owned(), schema });
    }
    serde_json::from_str(text).map_err(json)
}
