//! A matrix compared with an earlier one: cells that are newly wrong, fixed, or unchanged.

use super::changes::{CellChange, CellState, Changes};
use super::{Cell, CellSource, Mark, Matrix, MatrixRow};
use crate::verdict::exit_code;
use std::collections::BTreeSet;

impl Matrix {
    /// The command's exit code: 1 if a cell is wrong, 3 if one cannot be judged, else 0.
    /// After a comparison with an earlier matrix, cells that were wrong then in the same way do not count.
    pub fn exit_code(&self) -> u8 {
        let known_before = |row: &MatrixRow, target: &str| {
            let changes = self.changes.iter().flat_map(|changes| &changes.cells);
            let mut same = changes.filter(|change| change.state == CellState::Same);
            same.any(|change| change.row == row.label() && change.target == target)
        };
        let cells = self.cells().filter_map(|(row, target, cell)| Some((row, target, cell?)));
        let counted = cells.filter(|(row, target, _)| !known_before(row, target));
        let kinds: Vec<_> = counted.map(|(_, _, cell)| cell.kind).collect();
        let nothing_left = kinds.is_empty() && self.cells().any(|(_, _, cell)| cell.is_some());
        if nothing_left { 0 } else { exit_code(kinds) }
    }

    /// Whether every network was run on every target.
    pub fn is_complete(&self) -> bool {
        self.cells().all(|(_, _, cell)| cell.is_some())
    }
}

/// Compares a matrix with the earlier one in `file`.
pub fn compare(earlier: &Matrix, file: &str, now: &Matrix) -> Changes {
    let find = |matrix: &'_ Matrix, row: &MatrixRow| -> Option<usize> {
        matrix.rows.iter().position(|other| other.key() == row.key())
    };
    let mut cells = Vec::new();
    for (row, target, cell) in now.cells() {
        let before = find(earlier, row).map(|at| &earlier.rows[at]);
        let then = before.and_then(|before| before.cells.get(target));
        if cell.is_none() && then.is_none() {
            continue;
        }
        let (state, words) = match before {
            Some(before) if !before.is_alike(row) => {
                let why = "the network, its feeds or its reference are others now";
                (CellState::Unknown, why.to_owned())
            }
            _ => between(then, cell),
        };
        cells.push(CellChange { row: row.label(), target: target.to_owned(), state, words });
    }
    let here: BTreeSet<&str> = now.columns.iter().map(|column| column.target.as_str()).collect();
    for (row, target, cell) in earlier.cells() {
        let is_gone = find(now, row).is_none() || !here.contains(target);
        if let Some(cell) = cell.filter(|_| is_gone) {
            let words = format!("was {}, is not in this matrix", shown(cell));
            let (row, target) = (row.label(), target.to_owned());
            cells.push(CellChange { row, target, state: CellState::Unknown, words });
        }
    }
    Changes { earlier: file.to_owned(), cells }
}

fn between(then: Option<&Cell>, now: Option<&Cell>) -> (CellState, String) {
    let told = |cell: Option<&Cell>| cell.map_or_else(|| "not run".to_owned(), shown);
    let changed = format!("was {}, is {}", told(then), told(now));
    let (Some(then), Some(now)) = (then, now) else { return (CellState::Unknown, changed) };
    // A target that some operators on the CPU mend is still wrong.
    let is_wrong = |cell: &Cell| match cell.mark() {
        Mark::Right => Some(false),
        Mark::Wrong | Mark::Mended | Mark::Refused => Some(true),
        Mark::FellBack | Mark::Unknown => None,
    };
    match (is_wrong(then), is_wrong(now)) {
        (Some(false), Some(false)) => (CellState::Same, shown(now)),
        (Some(true), Some(false)) => (CellState::Fixed, changed),
        (Some(false), Some(true)) => (CellState::New, changed),
        (Some(true), Some(true)) => wrong_again(then, now, changed),
        _ => (CellState::Unknown, changed),
    }
}

/// Wrong before and now: the same finding, unless the kind differs or more operators are to blame.
fn wrong_again(then: &Cell, now: &Cell, changed: String) -> (CellState, String) {
    if then.kind != now.kind {
        return (CellState::New, changed);
    }
    let (Some(before), Some(after)) = (&then.sources, &now.sources) else {
        return (CellState::Same, shown(now));
    };
    let (before, after) = (names(before), names(after));
    let added: Vec<&str> = after.difference(&before).copied().collect();
    let gone = before.difference(&after).count();
    match (added.as_slice(), gone) {
        ([], 0) => (CellState::Same, shown(now)),
        ([], gone) => {
            let words = format!("{}; {gone} of {} sources gone", shown(now), before.len());
            (CellState::Same, words)
        }
        ([first, rest @ ..], _) => {
            let more = if rest.is_empty() { "" } else { " and others" };
            (CellState::New, format!("{changed}: `{first}`{more} did not introduce error"))
        }
    }
}

fn names(sources: &[CellSource]) -> BTreeSet<&str> {
    sources.iter().map(|source| source.node.as_deref().unwrap_or(&source.name)).collect()
}

/// `divergent (Softmax ×11)`.
fn shown(cell: &Cell) -> String {
    let (kind, words) = (cell.kind.name().replace('_', " "), cell.words());
    let is_said =
        words.is_empty() || words == kind || cell.sources.as_ref().is_none_or(Vec::is_empty);
    if is_said { kind } else { format!("{kind} ({words})") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::Digest;
    use crate::verdict::Kind;
    use std::collections::BTreeMap;

    fn cell(kind: Kind, sources: &[&str]) -> Cell {
        let source = |name: &&str| CellSource {
            name: (*name).into(),
            op_type: "Softmax".into(),
            node: None,
        };
        let sources = Some(sources.iter().map(source).collect());
        Cell { kind, sources, ..Cell::unclear("for a test") }
    }

    fn matrix(cells: &[(&str, &Option<Cell>)]) -> Matrix {
        let target = "mnn:vulkan";
        let row = |(name, cell): &(&str, &Option<Cell>)| MatrixRow {
            name: (*name).into(),
            system: None,
            digest: Digest::of([name.as_bytes()]),
            nodes: 1,
            op_types: Default::default(),
            inputs: Vec::new(),
            reference: "tract".into(),
            cells: cell.iter().map(|cell| (target.to_owned(), cell.clone())).collect(),
        };
        Matrix::new([target.to_owned()], cells.iter().map(row).collect())
    }

    /// Each case: the cell before, the cell now, the state, some words, and the exit code after the comparison.
    #[test]
    fn every_pair_of_cells_has_its_state_and_exit_code() {
        let some = |kind, sources: &[&str]| Some(cell(kind, sources));
        let (right, rounds) = (some(Kind::Agrees, &[]), some(Kind::Explained, &[]));
        let (wrong, worse) = (some(Kind::Divergent, &["s"]), some(Kind::Divergent, &["s", "t"]));
        let (nan, crash) = (some(Kind::Nonfinite, &["s"]), some(Kind::Crashed, &[]));
        let (fell, none) = (some(Kind::FellBack, &[]), None);
        for (then, now, state, words, code) in [
            (&right, &rounds, CellState::Same, "explained", 0),
            (&right, &wrong, CellState::New, "was agrees, is divergent (Softmax)", 1),
            (&right, &crash, CellState::New, "is crashed", 3),
            (&wrong, &wrong, CellState::Same, "divergent (Softmax)", 0),
            (&wrong, &worse, CellState::New, "`t` did not introduce error", 1),
            (&worse, &wrong, CellState::Same, "1 of 2 sources gone", 0),
            (&wrong, &nan, CellState::New, "is nonfinite", 1),
            (&crash, &crash, CellState::Same, "crashed", 0),
            (&crash, &right, CellState::Fixed, "was crashed, is agrees", 0),
            (&wrong, &fell, CellState::Unknown, "is fell back", 3),
            (&fell, &fell, CellState::Unknown, "fell back", 3),
            (&none, &wrong, CellState::Unknown, "was not run", 1),
            (&none, &right, CellState::Unknown, "was not run", 0),
            (&wrong, &none, CellState::Unknown, "is not run", 3),
        ] {
            let (earlier, mut later) = (matrix(&[("a", then)]), matrix(&[("a", now)]));
            let changes = compare(&earlier, "earlier.json", &later);
            let change = &changes.cells[0];
            assert_eq!(change.state, state, "{}", change.words);
            assert!(change.words.contains(words), "{}", change.words);
            later.changes = Some(changes);
            assert_eq!(later.exit_code(), code, "{then:?} {now:?}");
        }
    }

    #[test]
    fn another_network_of_the_same_name_is_no_change() {
        let wrong = Some(cell(Kind::Divergent, &[]));
        let (earlier, mut now) = (matrix(&[("a", &None)]), matrix(&[("a", &wrong)]));
        now.rows[0].digest = Digest::of([b"retrained".as_slice()]);
        assert_eq!(compare(&earlier, "e", &now).cells[0].state, CellState::Unknown);
    }

    #[test]
    fn what_only_the_earlier_one_has_is_told() {
        let wrong = Some(cell(Kind::Divergent, &[]));
        let earlier = matrix(&[("a", &wrong), ("b", &wrong)]);
        let changes = compare(&earlier, "e", &matrix(&[("a", &wrong)]));
        assert_eq!(
            changes.counts(),
            BTreeMap::from([(CellState::Same, 1), (CellState::Unknown, 1)])
        );
        assert_eq!(changes.cells[1].row, "b");
    }
}
