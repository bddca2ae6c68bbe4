//! The network as a drawing: one row for each operator or run of operators, in the order of execution, and lanes for
//! the values between them. The page paints it; the terminal shows a strip of it.

mod fold;
mod heat;
mod lanes;
mod strip;

pub(super) use fold::{DrawingRow, folded, module_of, shared_module, unfolded};
pub(super) use heat::{Heat, accumulated, introduced};
pub(super) use lanes::{DrawingLanes, Edge, lanes};
pub(super) use strip::{BLOCKS, strip};
