//! From a finding to its smallest reproduction: one node, or the fewest nodes that show the finding
//! together. Then come smaller shapes, simpler values and simpler constants. After every step, the same
//! finding is proven again, twice.

mod axes;
mod conduct;
mod limit;
mod oracle;
mod piece;
mod simplify;
mod specimen;

pub use axes::{Threshold, Tried};
pub use conduct::{ShrinkStep, Shrunk, by_itself, shrink};
pub use limit::{Grid, Limit};
pub use oracle::{Finding, Oracle, RunResult};
pub use specimen::Specimen;
