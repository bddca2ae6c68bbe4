//! The reference of a decoder, open from step to step.

use super::decoder::Decoder;
use super::moment::{Moment, by_name};
use crate::decode::TokenScores;
use crate::engine::{Engine, OpenSession, Outcome, Target};
use crate::graph::ValueName;
use crate::session::{Failure, Reference, no_reference};
use crate::tensor::Tensor;
use std::cell::RefCell;
use std::collections::BTreeMap;

/// The reference's result of one step.
pub(super) struct Wanted {
    pub(super) moment: Moment,
    pub(super) reference: Reference,
    pub(super) outputs: BTreeMap<ValueName, Tensor>,
    pub(super) scores: TokenScores,
}

/// The reference, open from step to step.
pub(super) struct Teacher<'e> {
    pub(super) decoder: &'e Decoder<'e>,
    pub(super) target: Target,
    /// Why the reference is not the target that the user asked for.
    pub(super) note: Option<String>,
    session: RefCell<OpenSession<'e>>,
}

impl<'e> Teacher<'e> {
    /// Runs the first step. If the first engine, the reference's, cannot run it, the second becomes the reference.
    pub(super) fn first(
        decoder: &'e Decoder<'e>,
        engines: &'e [Box<dyn Engine>; 2],
        moment: &Moment,
    ) -> Result<(Self, Reference), Failure> {
        let asked = &decoder.reference;
        let mut sessions = engines.each_ref().map(|engine| OpenSession::new(engine.session()));
        let mut run = |target: &Target| {
            sessions[usize::from(target != asked)].run(&moment.request(decoder.deadline))
        };
        let first = Reference::run_by(&mut run, asked)?;
        let [mine, other] = sessions;
        let session = RefCell::new(if first.target == *asked { mine } else { other });
        let (target, note) = (first.target.clone(), first.note.clone());
        Ok((Teacher { decoder, target, note, session }, first))
    }

    /// Runs the reference on a step.
    pub(super) fn wanted(&self, moment: Moment) -> Result<Wanted, Failure> {
        let execution = self.session.borrow_mut().run(&moment.request(self.decoder.deadline));
        if execution.outcome != Outcome::Completed {
            return Err(no_reference(&self.target, &execution));
        }
        let reference = Reference::of(self.target.clone(), execution);
        self.decoder.wanted(moment, reference)
    }
}

impl Decoder<'_> {
    /// The result of a step that the reference ran.
    pub(super) fn wanted(&self, moment: Moment, reference: Reference) -> Result<Wanted, Failure> {
        let outputs = by_name(&reference.execution.outputs);
        let scores = self.scores(&outputs).ok_or_else(|| {
            Failure::new(
                format!("find the scores `{}` in the reference's outputs", self.interface.logits),
                "the reference must return every output of the network",
            )
        })?;
        Ok(Wanted { moment, reference, outputs, scores })
    }

    /// The scores of the last token.
    pub(super) fn scores(&self, outputs: &BTreeMap<ValueName, Tensor>) -> Option<TokenScores> {
        let logits = outputs.get(&self.interface.logits)?;
        Some(TokenScores::last_of(&logits.numbers(1), self.interface.vocabulary))
    }
}
