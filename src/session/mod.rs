//! One network, its feeds, a reference, its referees and the targets: the steps that all commands share.
//!
//! The **reference** computes the outputs that targets are compared with. The **referees** are asked if a
//! target differs from it: offby's own kernels and tract in `f64`, ONNX Runtime, and the command's other
//! engines. `run` and `walk` reach their verdicts here, by the same judgement.

mod audit;
mod decode;
mod environment;
mod evaluator;
mod examine;
mod facade;
mod failure;
mod feeding;
mod finite;
mod inheritance;
mod judge;
mod known;
mod misplaced;
mod moved;
mod node;
mod origin;
mod outputs;
mod overflow;
mod quantised;
mod reference;
mod registry;
mod run;
mod sampled;
mod saved;
mod search;
mod shown;
mod spread;
mod steadiness;
mod walk;

pub use decode::{Decoded, Decoder};
pub use evaluator::{Evaluator, Settings};
pub use examine::{examine_against, judged_by, tolerance_of};
pub use facade::{Session, SessionBuilder};
pub use failure::Failure;
pub use feeding::{Feeding, PROMPT};
pub use moved::MovedRuns;
pub use node::{node_names, second as second_engine};
pub use quantised::{QuantisedFound, QuantisedSearch};
pub use reference::{Reference, no_reference};
pub use registry::{Registry, arithmetic_of, not_walkable, this_program};
pub use saved::saved_report;
pub use search::{Engines, Search};
pub use steadiness::{Steadiness, SteadinessFound};
