//! How large a protobuf file may be.

/// The size limit of a protobuf message.
pub(super) const PROTOBUF_LIMIT: u64 = i32::MAX as u64;
