//! From what was measured to what is said: the kind, the sentence and the confidence.

mod kind;
mod sentence;
mod walk;

pub use kind::{Confidence, Kind, News, Verdict, exit_code};
pub use sentence::{Finding, decide};
pub use walk::decide_walk;
