//! Feeds: the tensors that every engine gets. Feeds are drawn once, seeded, and identified by digest.
//!
//! The same spec gives the same bytes on every platform. The code uses one generator (ChaCha8), `libm` instead of the
//! system's mathematics, and no rounding that depends on the processor.

mod assign;
mod dataset;
mod dump;
mod edge;
mod element;
mod error;
mod feed;
mod fill;
mod given;
mod guess;
mod picture;
mod random;
mod spec;
mod stored;
mod thumbnail;

pub use assign::parse_inputs;
pub use dataset::{Dataset, Preparation, Sample};
pub use dump::{Dump, NamePlan, plan_names};
pub use error::InputError;
pub use feed::{Feed, draw, shapes_of};
pub use given::shapes_given;
pub use picture::{Framing, Normalization};
pub use random::Random;
pub use spec::{Spec, WrittenNumber};
pub use thumbnail::thumbnail;

#[cfg(test)]
mod tests;
