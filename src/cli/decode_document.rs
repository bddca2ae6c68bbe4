//! What decoding found, as it is saved and shown.

use super::matrix_from::public;
use crate::decode::{DECODE_SCHEMA, Decode, DecodeLane, DecoderFacts, StateFacts};
use crate::session::{Decoded, Decoder};
use crate::worker::interrupted;
use std::path::Path;

/// The document of a decoder from this file, on the targets that were asked for.
pub(super) fn document(
    file: &Path,
    decoder: &Decoder<'_>,
    prompt: &[i64],
    decoded: Decoded,
) -> Decode {
    let (reference, note) = decoded.reference;
    let states = decoder.interface.states.iter().map(|state| StateFacts {
        input: state.input.to_string(),
        output: state.output.to_string(),
        axis: state.axis,
    });
    let mut document = Decode {
        schema: DECODE_SCHEMA.into(),
        made_by: env!("CARGO_PKG_VERSION").into(),
        model: DecoderFacts {
            path: public(&file.display().to_string()),
            digest: decoder.model.digest().clone(),
            nodes: decoder.model.as_written().node_count(),
            vocabulary: decoder.interface.vocabulary,
        },
        reference: public(&reference.to_string()),
        reference_note: note,
        prompt: prompt.to_vec(),
        tokens: decoded.tokens,
        states: states.collect(),
        rows: decoder.rows(),
        interrupted: interrupted(),
        targets: decoded.lanes,
    };
    document.targets.iter_mut().for_each(without_home);
    document
}

/// Engines may print the user's home folder.
fn without_home(lane: &mut DecodeLane) {
    lane.sentence = public(&lane.sentence);
    for step in &mut lane.steps {
        step.sentence = public(&step.sentence);
        step.reason = step.reason.as_deref().map(public);
    }
}
