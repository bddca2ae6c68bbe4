//! Finds where a neural network's numbers go wrong.
//!
//! offby runs one network on a reference CPU path and on each GPU backend. It compares the outputs
//! element by element and reports the finding in words. Data flows one way:
//! case → cut → feeds → taps → comparison → trace → verdict → report.
//!
//! A program loads a [`Model`], opens a [`Session`] on it, and compares or walks a [`Target`]. The result is a
//! [`Report`] with a [`Verdict`] for each target. [`assert_close!`] compares two tensors and needs no engine.

pub mod agree;
pub mod bench;
pub mod bounds;
pub mod bundle;
pub mod case;
pub mod choice;
pub mod cli;
pub mod decode;
pub mod determinism;
pub mod engine;
pub mod graph;
pub mod inputs;
pub mod kernels;
pub mod matrix;
pub mod quantised;
pub mod report;
pub mod session;
pub mod shrink;
pub mod sim;
pub mod verdict;
pub mod walk;
pub mod worker;

pub use offby_compare::{assert_close, compare, tensor, with_array};

pub use compare::{Comparison, Tolerance};
pub use engine::Target;
pub use graph::Model;
pub use inputs::Feed;
pub use report::Report;
pub use session::{Failure as Error, Session};
pub use tensor::Tensor;
pub use verdict::Verdict;
