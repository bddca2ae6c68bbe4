//! Many runs of one network: how many different results they have, and where those differ.

mod document;
mod order;
mod padding;
mod spot;
mod tally;

pub use document::{
    AUDIT_SCHEMA, AuditDocument, DistinctResult, FirstUnsteady, OutputSpot, RunGroup, Way,
};
pub use order::pattern;
pub use padding::{Padding, resized};
pub use spot::{Spot, spot};
pub use tally::{ResultTally, digest_of};
