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

pub use classes::{ClassFlip, ClassOutcome, Classes};
pub use document::{Agree, AgreeLane, Blame, DataFacts, ModelFacts, WalkedInput, read_agree};
pub use error::{AGREE_SCHEMA, AgreeError};
pub use figures::{Drop, Figures, Quantiles, Share};
pub use journal::{Position, RunJournal};
pub use measure::{Rule, Task, measure};
pub use merge::merge;
pub use record::{MeasuredInput, Record};
pub use sketch::{Mean, Sketch};
pub use statistics::{McNemar, Pairs};
pub use tally::{Agreements, ClassTally, Failed, LaneTally};
pub use verdict::AgreeVerdict;
pub use worst::{MOST_WORST, Severity, WorstInput};
