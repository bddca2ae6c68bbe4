//! Case files: one divergence as YAML, from the model and its inputs to what each target is expected
//! to say. The only room that sees YAML.

mod document;
mod error;
mod text;

pub use document::{Case, CaseCut, CaseKind, CaseTarget, Expectation, ExplainedBy, When};
pub use error::CaseError;

#[cfg(test)]
mod tests;
