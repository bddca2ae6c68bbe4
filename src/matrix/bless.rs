//! Takes what got better into an earlier matrix, so that it may not get worse again.

use super::{Cell, CellChange, CellState, Column, Mark, Matrix, MatrixRow};

/// An earlier matrix with everything that got better since.
#[derive(Debug, Clone, PartialEq)]
pub struct Blessed {
    /// The earlier matrix, with the better cells.
    pub matrix: Matrix,
    /// The cells that were taken: they are right, and were wrong, or were not there.
    pub taken: Vec<CellChange>,
    /// The cells that were not taken: they are wrong in a new way, or cannot be compared.
    pub left: Vec<CellChange>,
}

/// Takes each cell that is fixed, or right and new, from a matrix that was compared with the earlier one. Cells that
/// are newly wrong or unknown stay as they were.
pub fn bless(earlier: &Matrix, now: &Matrix) -> Blessed {
    let mut blessed = Blessed { matrix: earlier.clone(), taken: Vec::new(), left: Vec::new() };
    for change in now.changes.iter().flat_map(|changes| &changes.cells) {
        let row = now.rows.iter().find(|row| row.label() == change.row);
        match (change.state, row) {
            (CellState::Same, _) => {}
            (CellState::Fixed, Some(row)) => blessed.take(row, change),
            (CellState::Unknown, Some(row)) if blessed.lacks(row, change) => {
                blessed.take(row, change)
            }
            _ => blessed.left.push(change.clone()),
        }
    }
    blessed
}

impl Blessed {
    /// Whether the cell is right, and the earlier matrix has no cell there.
    fn lacks(&self, row: &MatrixRow, change: &CellChange) -> bool {
        let is_right = row.cells.get(&change.target).is_some_and(|cell| cell.mark() == Mark::Right);
        let there = self.matrix.rows.iter().find(|there| there.key() == row.key());
        let is_free = there
            .is_none_or(|there| there.is_alike(row) && !there.cells.contains_key(&change.target));
        is_right && is_free
    }

    fn take(&mut self, row: &MatrixRow, change: &CellChange) {
        let Some(cell) = row.cells.get(&change.target) else { return };
        let rows = &mut self.matrix.rows;
        let at = rows.iter().position(|there| there.key() == row.key()).unwrap_or_else(|| {
            rows.push(MatrixRow { cells: Default::default(), ..row.clone() });
            rows.len() - 1
        });
        // The page of the walk is in the folder of the other matrix.
        rows[at].cells.insert(change.target.clone(), Cell { page: None, ..cell.clone() });
        let is_known = |column: &Column| column.target == change.target;
        if !self.matrix.columns.iter().any(is_known) {
            self.matrix.columns.push(Column::new(change.target.clone()));
        }
        self.taken.push(change.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matrix::compare;
    use crate::tensor::Digest;
    use crate::verdict::Kind;

    fn matrix(cells: &[(&str, Kind)]) -> Matrix {
        let row = |(name, kind): &(&str, Kind)| MatrixRow {
            name: (*name).into(),
            system: None,
            digest: Digest::of([name.as_bytes()]),
            nodes: 1,
            op_types: Default::default(),
            inputs: Vec::new(),
            reference: "tract".into(),
            cells: [("mnn:cpu".to_owned(), Cell { kind: *kind, ..Cell::unclear("for a test") })]
                .into(),
        };
        Matrix::new(["mnn:cpu".to_owned()], cells.iter().map(row).collect())
    }

    #[test]
    fn what_is_better_is_taken_and_what_is_worse_is_not() {
        let earlier =
            matrix(&[("fixed", Kind::Divergent), ("broken", Kind::Agrees), ("same", Kind::Agrees)]);
        let mut now = matrix(&[
            ("fixed", Kind::Agrees),
            ("broken", Kind::Divergent),
            ("same", Kind::Agrees),
            ("new and right", Kind::Agrees),
            ("new and wrong", Kind::Divergent),
        ]);
        now.changes = Some(compare(&earlier, "earlier.json", &now));
        let blessed = bless(&earlier, &now);
        let names = |changes: &[CellChange]| -> Vec<String> {
            changes.iter().map(|change| change.row.clone()).collect()
        };
        assert_eq!(names(&blessed.taken), ["fixed", "new and right"]);
        assert_eq!(names(&blessed.left), ["broken", "new and wrong"]);
        let kinds: Vec<Kind> =
            blessed.matrix.cells().filter_map(|(_, _, cell)| Some(cell?.kind)).collect();
        assert_eq!(kinds, [Kind::Agrees; 4]);
        // A second time there is nothing to take.
        now.changes = Some(compare(&blessed.matrix, "earlier.json", &now));
        assert!(bless(&blessed.matrix, &now).taken.is_empty());
    }
}
