//! A bound for every element: how far an honest implementation of an operator may be from the exact result.
//!
//! An operator is computed again in `f64` on the candidate's own inputs. Element i of the candidate then
//! differs by d, and may differ by
//!
//! ```text
//! B = S + 4 A        excess = |d| / B
//! ```
//!
//! S is what storing the result costs: half a step of the declared format, or a whole one if the device cuts
//! digits off. A is what the roundings inside the operator cost as a rule; the formulas are in `formula.rs`
//! and `element.rs`. The factor 4 is 3.5 times what honest sums in `f32` need, whatever their length and
//! order, and 1.7 times what honest sums in `f16` need (measured over seven kinds of input, lengths 9 to 4096,
//! 20 seeds each).
//!
//! An excess of at most 1 is rounding. Up to 2 it is more than the declared rounding: a device that cuts digits
//! off, though it declares to round, has exactly 2. Beyond 2 it is no rounding. A bound belongs to one element:
//! what others are allowed does not count.
//!
//! Sources: Higham, *Accuracy and Stability of Numerical Algorithms*, 2nd ed. 2002, ch. 2 to 4 (storage, error of
//! running sums, the worst case); Higham and Mary, SIAM J. Sci. Comput. 41(5), 2019 (roundings add up as a root of
//! squares).

mod approximation;
mod composite;
mod element;
mod formula;
mod mode;
mod weigh;

pub use approximation::{Approximation, ApproximationError, MNN_CPU, ONNX_RUNTIME};
pub use composite::median;
pub use mode::{Arithmetic, Mode};
pub use weigh::{Excess, Worst, weigh, weigh_moved};
