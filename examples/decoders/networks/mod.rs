//! Small decoders with seeded weights: LLaMA-like and GPT-2-like, with and without a cache.

pub(crate) mod build;
pub(crate) mod decoder;
mod fused;
pub(crate) mod recipes;
