//! Finds where a neural network's numbers go wrong.
//!
//! offby runs one network on a reference CPU path and on each GPU backend. It compares the outputs
//! element by element and reports the finding in words. Data flows one way:
//! case → cut → feeds → taps → comparison → trace → verdict → report.

pub mod agree;
pub mod bench;
pub mod bounds;
pub mod bundle;
pub mod case;
pub mod choice;
pub mod cli;
pub mod compare;
pub mod engine;
pub mod graph;
pub mod inputs;
pub mod kernels;
pub mod matrix;
pub mod report;
pub mod session;
pub mod shrink;
pub mod sim;
pub mod tensor;
pub mod verdict;
pub mod walk;
pub mod worker;
