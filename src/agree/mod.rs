//! A network over a data set: each target's result for every input, as one line each, and the sums of the
//! lines. The sums are exact in any order, so shares of a data set merge to the whole. They take the same room
//! for ten inputs and for ten million.
//!
//! A *lane* runs the inputs: the reference, or one target.

mod classes;
mod document;
mod error;
mod figures;
mod journal;
mod measure;
mod merge;
mod rank;
mod record;
mod sketch;
mod statistics;
mod tally;
mod verdict;
mod worst;

pub use classes::{Choice, Classes, Flip};
pub use document::{Agree, Blame, DataFacts, Lane, ModelFacts, WalkedInput, read_agree};
pub use error::{AGREE_SCHEMA, AgreeError};
pub use figures::{Drop, Figures, Quantiles, Share};
pub use journal::{Journal, Position};
pub use measure::{Rule, Task, measure};
pub use merge::merge;
pub use record::{Measured, Record};
pub use sketch::{Mean, Sketch};
pub use statistics::{McNemar, Pairs};
pub use tally::{Agreements, ClassTally, Failed, Tally};
pub use verdict::Answer;
pub use worst::{MOST_WORST, Severity, Worst};
