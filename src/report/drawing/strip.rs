//! The network in one line of the terminal: a cell for each group of operators, as high as its worst error.

use super::heat::introduced;
use crate::walk::{OpReport, Role};

/// The most cells of a strip.
const CELLS: usize = 64;
/// The steps of [`Heat`](super::Heat) as bars.
pub(in crate::report) const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// A strip, and under it a mark at each cell with a source.
pub(in crate::report) fn strip(ops: &[OpReport], width: usize) -> Option<[String; 2]> {
    let room = CELLS.min(width);
    if ops.len() < 2 || room < 8 {
        return None;
    }
    let per_cell = ops.len().div_ceil(room);
    let height = |cell: &[OpReport]| {
        let worst = cell.iter().map(introduced).max().unwrap_or_default();
        BLOCKS[usize::from(worst.step())]
    };
    let mark = |cell: &[OpReport]| match cell.iter().any(|op| op.role == Role::Source) {
        true => '^',
        false => ' ',
    };
    let cells = || ops.chunks(per_cell);
    let marks: String = cells().map(mark).collect();
    Some([cells().map(height).collect(), marks.trim_end().to_owned()])
}
