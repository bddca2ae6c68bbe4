//! Matrices from files: matrices of other machines and shares, and reports of `run` and `walk`.

use super::network_name::network_name;
use super::report::read_saved;
use crate::matrix::{Cell, MATRIX_SCHEMA, Matrix, MatrixRow, RowInput, merge, read_matrix};
use crate::report::{Report, TargetReport, without_home};
use crate::session::Failure;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Reads a matrix from its file.
pub(super) fn read_file(path: &Path) -> Result<Matrix, Failure> {
    Ok(read_matrix(&path.display().to_string(), &text_of(path)?)?)
}

/// Merges the matrices of these files.
pub(super) fn merge_files(files: &[PathBuf]) -> Result<Matrix, Failure> {
    let read = |path: &PathBuf| Ok((path.display().to_string(), read_file(path)?));
    Ok(merge(files.iter().map(read).collect::<Result<Vec<_>, Failure>>()?)?)
}

/// Gathers the cells of reports and matrices. Rows without a system get this one.
pub(super) fn gather(files: &[PathBuf], system: Option<&str>) -> Result<Matrix, Failure> {
    let mut parts = Vec::new();
    for path in files {
        let mut part = match is_matrix(&text_of(path)?) {
            true => read_file(path)?,
            false => of_report(&read_saved(path)?.1),
        };
        for row in part.rows.iter_mut().filter(|row| row.system.is_none()) {
            row.system = system.map(str::to_owned);
        }
        parts.push((path.display().to_string(), part));
    }
    tell_apart(&mut parts);
    Ok(merge(parts)?)
}

fn text_of(path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path).map_err(|error| {
        Failure::new(
            format!("read {}: {error}", path.display()),
            "give what `offby matrix` wrote with --json or --out, or a report.json of `run` or `walk`",
        )
    })
}

#[derive(Deserialize)]
struct Head {
    schema: String,
}

fn is_matrix(text: &str) -> bool {
    serde_json::from_str::<Head>(text).is_ok_and(|head| head.schema == MATRIX_SCHEMA)
}

/// The row of a report. If several strategies walked one target, the first strategy counts.
fn of_report(report: &Report) -> Matrix {
    let mut cells = BTreeMap::new();
    let mut targets = Vec::new();
    for target in &report.targets {
        if !targets.contains(&target.target) {
            targets.push(target.target.clone());
            cells.insert(target.target.clone(), cell(target));
        }
    }
    let inputs = report.inputs.iter().map(|input| RowInput {
        name: input.name.clone(),
        spec: input.spec.clone(),
        digest: input.digest.clone(),
    });
    let row = MatrixRow {
        name: network_name(Path::new(&report.model.path)),
        system: None,
        digest: report.model.digest.clone(),
        nodes: report.model.nodes,
        op_types: BTreeSet::new(),
        inputs: inputs.collect(),
        reference: report.reference.clone(),
        cells,
    };
    let mut matrix = Matrix::new(targets, vec![row]);
    matrix.made_by = [report.tool.version.clone()].into();
    matrix
}

/// The cell of one target.
pub(super) fn cell(target: &TargetReport) -> Cell {
    let (walk, fallback) = (target.walk.as_ref(), target.fallback.as_ref());
    let cell = Cell::new(target.ran_on.clone(), &target.verdict, walk, fallback);
    let cell = Cell { origin: target.origin.clone(), ..cell };
    Cell { sentence: public(&cell.sentence), ..cell }
}

/// A text without the user's home folder.
pub(super) fn public(text: &str) -> String {
    match std::env::var("HOME") {
        Ok(home) => without_home(text, &home),
        Err(_) => text.to_owned(),
    }
}

/// Adds the input specs to the names of rows with the same network and different inputs.
fn tell_apart(parts: &mut [(String, Matrix)]) {
    let rows: Vec<MatrixRow> = parts.iter().flat_map(|(_, part)| &part.rows).cloned().collect();
    let is_ambiguous = |row: &MatrixRow| {
        rows.iter().any(|other| other.key() == row.key() && other.inputs != row.inputs)
    };
    for row in parts.iter_mut().flat_map(|(_, part)| &mut part.rows) {
        if is_ambiguous(row) {
            let specs: Vec<&str> = row.inputs.iter().map(|input| input.spec.as_str()).collect();
            row.name = format!("{} ({})", row.name, specs.join(", "));
        }
    }
}

/// The failure for two rows with the same name.
pub(super) fn same_name(name: &str) -> Failure {
    Failure::new(
        format!("give each row its own name: two are called {name}"),
        "name every network once; a case of another id may hold the same network fed otherwise",
    )
}
