//! Decodes on several engines, step by step, and finds the step and the operator at which a target parts.
//!
//! Each step of a target is judged like a run: the reference computes the same step on the target's own state. So an
//! error that an earlier step left in the state is not counted again. The first step that is wrong is walked.

mod decoder;
mod lane;
mod moment;
mod part;
mod run;
mod sentence;
mod signs;
mod spread;
mod teacher;

pub use decoder::{Decoded, Decoder};
