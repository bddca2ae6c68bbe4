//! Fingerprints of values: a walk asks of thousands of values if they are the same as others of the same run.

use crate::tensor::Tensor;
use rapidhash::v3::rapidhash_v3;

/// A hash of a tensor's bytes. It is fast and has 64 bits, so it serves inside of one walk only; what is saved or sent
/// has a [`Digest`](crate::tensor::Digest).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Fingerprint(u64);

impl Fingerprint {
    /// The fingerprint of a tensor.
    pub(super) fn of(tensor: &Tensor) -> Self {
        Fingerprint(rapidhash_v3(&tensor.bytes()))
    }
}
