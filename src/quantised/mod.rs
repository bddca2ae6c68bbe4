//! Which layers of a quantised network cost its accuracy, and which must stay in float.

mod document;
mod score;

pub use document::{
    ActivationRange, FrontPoint, LayerReport, QUANTISED_SCHEMA, QuantisedDocument, Unmovable,
};
pub use score::{QuantisedGoal, Score, ScoreSum};
