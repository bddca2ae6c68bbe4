//! Compares two tensors element by element, in one pass, and says how far and in which pattern they differ.
//!
//! ```
//! use offby_compare::{Tensor, Tolerance, assert_close};
//!
//! # fn main() -> Result<(), offby_compare::tensor::TensorError> {
//! let reference = Tensor::from_f32(&[4], vec![1.0, 2.0, 3.0, 4.0])?;
//! let candidate = Tensor::from_f32(&[4], vec![1.001, 2.0, 2.999, 4.0])?;
//! assert_close!(reference, candidate, Tolerance::F16);
//! # Ok(())
//! # }
//! ```

pub mod compare;
pub mod tensor;

mod close;

pub use close::{Apart, close};
pub use compare::{Comparison, Tolerance};
pub use tensor::Tensor;
