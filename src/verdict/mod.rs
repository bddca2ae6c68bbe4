//! Turns measurements into verdicts: the kind, the sentence and the confidence.

mod cut;
mod hint;
mod kind;
mod origin;
mod phrases;
mod ruling;
mod sentence;
mod strategies;
mod untimely;
mod walk;

pub use hint::is_wrong_on_own_cpu;
pub use kind::{Confidence, INCONCLUSIVE, Kind, News, Verdict, exit_code};
pub use origin::{Origin, OriginKind, ROUNDING};
pub use phrases::KEEP_ACTIVATIONS;
pub use ruling::{Code, Found, NEARER, Opinion, Party, Ruling, distance, is_within, weigh};
pub use sentence::{OutputFinding, decide, outcome_kind};
pub use strategies::{Named, StrategyAgreement, compare_strategies};
pub use walk::{Facts, accept_converter, refine};
