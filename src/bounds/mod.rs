//! A bound for every element: how far an honest implementation of an operator may be from the exact result.
//!
//! offby computes an operator again in `f64` on the candidate's own inputs. Element i of the candidate then
//! differs by d, and may differ by
//!
//! ```text
//! B = S + 4 A        excess = |d| / B
//! ```
//!
//! S is the error of storing the result: half a step of the declared format, or a whole step if the device
//! cuts digits off. A is the usual error of the roundings inside the operator; the formulas are in `formula.rs`
//! and `element.rs`. The factor 4 is 3.5 times the need of honest sums in `f32`, for any length and order. For
//! honest sums in `f16` the factor is 1.7 times the need. Both needs are measured over seven kinds of input,
//! lengths 9 to 4096, 20 seeds each.
//!
//! An excess of at most 1 is rounding. An excess up to 2 is more than the declared rounding: a device that
//! declares to round but cuts digits off has exactly 2. An excess beyond 2 is not rounding. A bound belongs to
//! one element: the bounds of other elements do not count.
//!
//! Sources: Higham, *Accuracy and Stability of Numerical Algorithms*, 2nd ed. 2002, ch. 2 to 4 (storage, error of
//! running sums, the worst case); Higham and Mary, SIAM J. Sci. Comput. 41(5), 2019 (roundings add up as a root of
//! squares).

mod activations;
mod approximation;
mod composite;
mod element;
mod formula;
mod mode;
mod reads;
mod resum;
mod weigh;
mod worst;

pub use crate::kernels::ReadBox;
pub use activations::{Activations, Products, StepBy};
pub use approximation::{Approximation, ApproximationError, MNN_CPU, ONNX_RUNTIME};
pub use composite::median;
pub use element::Clamp;
pub use mode::{Arithmetic, DeviceMode};
pub use resum::{Adding, OddSum, PartialSum, Resummed, SumIn};
pub use weigh::{Excess, weigh, weigh_moved};
pub use worst::WorstElement;
