//! One pass over two tensors measures how far they differ, at which elements, and whether plain rounding explains it.
//!
//! A [`Comparison`] holds the measurements, a [`Tolerance`] the allowed difference, and a [`Judgement`] the
//! conclusion. Only the comparison needs the tensors, so a saved comparison can be judged again.
//!
//! The pass goes over fixed chunks of fixed blocks, so its result does not depend on the number of threads. Single
//! and half precision go through a vectorised `kernel`. Values of `f64` and of the integers do not fit an `f32`, so
//! they go through `scalar`. Both fill the same `tally`.

mod broadcast;
mod element;
mod error_profile;
mod exceeding;
mod frontier;
mod judge;
mod kernel;
mod measure;
mod metrics;
pub mod number;
mod pattern;
mod preview;
mod rounding;
mod sample;
mod scalar;
mod single;
mod sum;
mod tally;
mod tolerance;
mod typical;
mod ulp;
mod worst;

#[cfg(test)]
mod controls;
#[cfg(test)]
mod oracle;

pub use crate::tensor::{Format, Rounding};
pub use error_profile::{Axis, ErrorMap, ErrorProfile, Histogram, error_profile};
pub use exceeding::count_exceeding;
pub use frontier::{Frontier, FrontierPoint};
pub use judge::{Agreement, Declared, Judgement, JudgementRule, Judging, judge};
pub use measure::{CompareOptions, compare, compare_with};
pub use metrics::{Census, Comparison, Incomparable, Nonfinite};
pub use pattern::{Pattern, recognize};
pub use preview::{general, preview};
pub use rounding::Explanation;
pub use tolerance::{STORAGE, Storage, Tolerance};
pub use typical::typical_magnitude;
pub use worst::Worst;
