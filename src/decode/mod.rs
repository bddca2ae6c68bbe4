//! Decoders: networks that are fed token by token, and whose state goes from one step to the next.
//!
//! Every engine is fed the reference's tokens (teacher forcing), so one wrong token does not change what follows. Each
//! engine keeps its own state. A *step* is one run of the network: the whole prompt first, then one token each. A
//! *lane* is one target over all steps.
//!
//! The room only knows tensors and numbers; `session/decode` runs the engines.

mod document;
mod error;
mod figures;
mod interface;
mod plane;
mod prompt;
mod signs;
mod texts;

pub use document::{
    Decode, DecodeLane, DecodeStep, DecoderFacts, Part, RelativeError, RowFacts, StateFacts,
    read_decode,
};
pub use error::{DECODE_SCHEMA, DecodeError};
pub use figures::{TokenFigures, TokenFlip, TokenScores};
pub use interface::{DecoderState, Interface, StateRole};
pub use plane::{Plane, relative};
pub use prompt::{Prompt, read_prompt};
pub use signs::{Sign, Stepped, signs_of_state};
pub use texts::{TextToken, Texts};

#[cfg(test)]
mod tests;
