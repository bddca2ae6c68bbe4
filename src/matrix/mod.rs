//! Networks against targets: one cell for the result of each network on each target. Cells are filled here, in
//! parts on other machines, or from saved reports. Parts are merged exactly, and a matrix is compared with an
//! earlier one. This module knows no engine.

mod bless;
mod cell;
mod change;
mod changes;
mod document;
mod error;
mod merge;
mod shard;

pub use bless::{Blessed, bless};
pub use cell::{Cell, CellFallback, CellSource, Mark, Moved};
pub use change::compare;
pub use changes::{CellChange, CellState, Changes};
pub use document::{Column, Matrix, MatrixRow, RowInput, read_matrix};
pub use error::{MATRIX_SCHEMA, MatrixError};
pub use merge::merge;
pub use shard::Shard;
