//! Networks against targets, cell by cell: what each target makes of each network, filled here, in
//! parts elsewhere, or from saved reports; merged exactly, and set beside an earlier matrix. No engine
//! is known here.

mod cell;
mod change;
mod document;
mod error;
mod merge;
mod shard;

pub use cell::{Cell, Fallback, Mark, Moved, Source};
pub use change::{Change, Changes, State, compare};
pub use document::{Column, MATRIX_SCHEMA, Matrix, Row, RowInput, read_matrix};
pub use error::MatrixError;
pub use merge::merge;
pub use shard::Shard;
