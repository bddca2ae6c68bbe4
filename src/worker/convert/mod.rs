//! MNN's converter, in a process of its own that stays for the next network.

pub(in crate::worker) mod converted;
pub(in crate::worker) mod converter;
pub(in crate::worker) mod error;
mod resident;
