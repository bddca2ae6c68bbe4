//! Merging matrices: the parts of one matrix make up exactly the whole. Matrices of different networks, targets
//! or systems are put side by side. Contradictions are refused.

use super::{Cell, Matrix, MatrixError, MatrixRow};

/// Merges matrices, each with the name of its file. Rows and columns keep the order of their first occurrence.
/// If only one file has walked a target's operators, or searched for a fallback, its cell is kept.
///
/// # Errors
/// If no matrix is given, or if two matrices contradict each other about a row or cell.
pub fn merge(matrices: impl IntoIterator<Item = (String, Matrix)>) -> Result<Matrix, MatrixError> {
    let mut matrices = matrices.into_iter();
    let (_, mut whole) = matrices.next().ok_or(MatrixError::Nothing)?;
    // The changes since an earlier matrix describe a part, not the whole.
    whole.changes = None;
    for (file, part) in matrices {
        whole.made_by.extend(part.made_by);
        for column in part.columns {
            if !whole.columns.contains(&column) {
                whole.columns.push(column);
            }
        }
        for row in part.rows {
            match whole.rows.iter_mut().find(|known| known.key() == row.key()) {
                Some(known) => merge_row(known, row, &file)?,
                None => whole.rows.push(row),
            }
        }
    }
    Ok(whole)
}

fn merge_row(known: &mut MatrixRow, row: MatrixRow, file: &str) -> Result<(), MatrixError> {
    if !known.is_alike(&row) {
        return Err(MatrixError::OtherRow { file: file.to_owned(), row: row.label() });
    }
    for (target, cell) in row.cells {
        let stands = match known.cells.remove(&target) {
            Some(first) if says_more(&first, &cell) => first,
            Some(first) if !says_more(&cell, &first) => {
                return Err(MatrixError::OtherCell {
                    file: file.to_owned(),
                    row: known.label(),
                    target,
                    first: first.sentence,
                    second: cell.sentence,
                });
            }
            _ => cell,
        };
        known.cells.insert(target, stands);
    }
    Ok(())
}

/// Whether `cell` can replace `other`: they are equal, or `cell` was examined more closely.
fn says_more(cell: &Cell, other: &Cell) -> bool {
    let depth = |cell: &Cell| (cell.fallback.is_some(), cell.sources.is_some());
    cell == other || depth(cell) > depth(other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matrix::{CellSource, Shard};
    use crate::tensor::Digest;
    use crate::verdict::Kind;
    use std::collections::BTreeMap;

    const TARGETS: [&str; 3] = ["mnn:cpu", "mnn:vulkan", "sim:zero"];

    fn cell(kind: Kind, sentence: &str) -> Cell {
        Cell { kind, ..Cell::unclear(sentence) }
    }

    fn row(name: &str, cells: &[(&str, Cell)]) -> MatrixRow {
        MatrixRow {
            name: name.into(),
            system: None,
            digest: Digest::of([name.as_bytes()]),
            nodes: 1,
            op_types: Default::default(),
            inputs: Vec::new(),
            reference: "tract".into(),
            cells: cells.iter().map(|(t, c)| ((*t).to_owned(), c.clone())).collect(),
        }
    }

    /// The cells of one share of a matrix of five networks.
    fn part(shard: Shard) -> Matrix {
        let names = ["a", "b", "c", "d", "e"];
        let mut number = 0;
        let mut filled = |name: &str| {
            let mut cells = BTreeMap::new();
            for target in TARGETS {
                if shard.has(number) {
                    let sentence = format!("{name} {target}");
                    cells.insert(target.to_owned(), cell(Kind::Divergent, &sentence));
                }
                number += 1;
            }
            MatrixRow { cells, ..row(name, &[]) }
        };
        let rows = names.iter().map(|name| filled(name)).collect();
        Matrix::new(TARGETS.map(str::to_owned), rows)
    }

    fn json(matrix: &Matrix) -> String {
        serde_json::to_string_pretty(matrix).unwrap()
    }

    #[test]
    fn any_number_of_shares_in_any_order_is_the_whole_byte_for_byte() {
        let whole = json(&part(Shard::WHOLE));
        for of in 1..=20 {
            let share = |index: usize| {
                let shard: Shard = format!("{index}/{of}").parse().unwrap();
                (shard.to_string(), part(shard))
            };
            assert_eq!(json(&merge((1..=of).map(share)).unwrap()), whole, "{of} in order");
            assert_eq!(json(&merge((1..=of).rev().map(share)).unwrap()), whole, "{of} reversed");
        }
    }

    fn merged(first: MatrixRow, second: MatrixRow) -> Result<Matrix, MatrixError> {
        let matrix = |row| Matrix::new(TARGETS.map(str::to_owned), vec![row]);
        merge([("a.json".to_owned(), matrix(first)), ("b.json".to_owned(), matrix(second))])
    }

    #[test]
    fn a_walk_stands_over_a_run_and_contradictions_are_refused() {
        let run = cell(Kind::Divergent, "all of them are wrong");
        let source = CellSource { name: "s".into(), op_type: "Softmax".into(), node: None };
        let walk = Cell { sources: Some(vec![source]), ..cell(Kind::Divergent, "s is wrong") };
        for (first, second) in [(&run, &walk), (&walk, &run), (&walk, &walk)] {
            let rows = (row("a", &[("mnn:cpu", first.clone())]), second.clone());
            let whole = merged(rows.0, row("a", &[("mnn:cpu", rows.1)])).unwrap();
            assert_eq!(whole.rows[0].cells["mnn:cpu"], walk);
        }
        let other = cell(Kind::Agrees, "all are equal");
        let error = merged(row("a", &[("mnn:cpu", run)]), row("a", &[("mnn:cpu", other)]));
        assert!(matches!(error, Err(MatrixError::OtherCell { .. })), "{error:?}");
        let changed = MatrixRow { reference: "tract:f64".into(), ..row("a", &[]) };
        let error = merged(row("a", &[]), changed);
        assert!(matches!(error, Err(MatrixError::OtherRow { .. })), "{error:?}");
        assert!(matches!(merge([]), Err(MatrixError::Nothing)));
    }

    #[test]
    fn systems_stand_side_by_side() {
        let on = |system: &str| MatrixRow { system: Some(system.into()), ..row("a", &[]) };
        let whole = merged(on("Edge2 Linux"), on("Orin Linux")).unwrap();
        assert_eq!(whole.rows.len(), 2);
        assert_eq!(whole.rows[1].label(), "a on Orin Linux");
    }
}
