//! Tensors for all other rooms: element types and storage formats, shapes, digests and `.npy` files.
//!
//! This room does not depend on graphs, engines or comparisons.

mod convert;
mod digest;
mod dtype;
mod element;
mod format;
mod index;
mod npy;
mod value;

pub use digest::Digest;
pub use dtype::Dtype;
pub(crate) use element::{Element, Number};
pub use format::{Format, Rounding, round, round_f32, round_tensor};
pub use index::{ShapeText, element_count, flat_index, map_extents, multi_index, place_in_map};
pub use npy::{NpyError, NpyRows, npy_from, read_npy, write_npy};
pub use value::{Tensor, TensorError, narrowed};
