//! The walk finds which operators introduce error and which only carry it. The floor is the error that an honest
//! backend would have introduced in their place.
//!
//! The candidate runs freely. For each operator it executes, the reference computes the same operator on the
//! candidate's own inputs. That operator introduced the difference. A second stream of the reference on its own values
//! gives the cumulative error. The walk writes no values into the candidate.

mod align;
mod births;
mod blind;
mod cause;
mod conclude;
mod conduct;
mod contract;
mod cut;
mod dumped;
mod error_summary;
mod exactness;
mod fallback;
mod fingerprint;
mod fitting;
mod follow;
mod handover;
mod isolate;
mod journal;
mod line;
mod mapping;
mod measured;
mod misread;
mod movement;
mod node_reference;
mod nonfinite;
mod overrides;
mod reach;
mod reference_thread;
mod role;
mod rounding_floor;
mod sampling;
mod screening;
mod search;
mod smallest;
mod strategy;
mod stream;
mod sweep;
mod task;
mod trace;
mod training;
mod window;

pub use align::align;
pub use births::{Birth, NonfiniteOutput, find_births, watch};
pub use blind::{Blind, find_blind};
pub use cause::Cause;
pub use conclude::conclude;
pub use conduct::{Traced, Walked, conduct};
pub use contract::{
    Anatomy, Announce, Block, Candidate, Clean, Executed, KernelError, Operand, Operator,
    OperatorReference, TILES, Unchecked,
};
pub use cut::{cut, is_honest};
pub use dumped::{DumpedNetwork, Stopped, walk_dumped};
pub use error_summary::{ErrorSummary, error_summary};
pub use exactness::Exactness;
pub use fallback::{
    By, Fallback, FallbackLatency, FallbackPlan, Goal, Member, Progress, TradePoint, fallback,
};
pub use fitting::{fitted, fitted_last};
pub use handover::Handover;
pub use isolate::isolate;
pub use journal::{Known, SearchJournal};
pub use mapping::{map_to_nodes, without_suffixes};
pub use measured::{MeasuredOp, WeightCost};
pub use node_reference::{NodeReference, operators};
pub use nonfinite::{Lost, NonfiniteFinding};
pub use overrides::{Compute, Overridable, Overrides, Transfers};
pub use reference_thread::ReferenceThread;
pub use role::{FACTOR, Role, assign_roles};
pub use rounding_floor::{FLOOR_FACTOR, StorageCensus, round_to_f16};
pub use sampling::{SampledWalk, Sampling, ValueSample};
pub use screening::{FoundSample, MOST_BYTES, Screened, Suspicion, screen};
pub use search::{Answer, Turn, find_turn};
pub use smallest::{Reaches, Set, Smallest, smallest};
pub use strategy::Strategy;
pub use task::SearchTask;
pub use trace::{
    ChangedFeed, Confirmation, Misshapen, OpReport, Probe, Trace, Trust, UncheckedOp, Untimely,
    WalkReport, WeightReport,
};
