//! Decodes on several engines, step by step, and finds the step and the operator at which a target parts.
//!
//! Each step of a target is judged like a run: the reference computes the same step on the target's own state. So an
//! error that an earlier step left in the state is not counted again. The first step that is wrong is walked.

mod lane;
mod moment;
mod part;
mod sentence;
mod signs;
mod spread;

use super::{Failure, Reference, Registry, Settings};
use crate::decode::{DecodeLane, Interface, RowFacts, Scores};
use crate::engine::Target;
use crate::graph::{Model, ValueName};
use crate::tensor::Tensor;
use lane::Lane;
use moment::Moment;
use std::collections::BTreeMap;
use std::time::Duration;

/// A decoder with its engines.
pub struct Decoder<'a> {
    /// The network, with the shapes that its file declares.
    pub model: &'a Model,
    /// Its inputs and outputs.
    pub interface: &'a Interface,
    /// The engines.
    pub registry: &'a Registry,
    /// The reference.
    pub reference: Target,
    /// The longest that one step may take.
    pub deadline: Duration,
    /// The user's settings.
    pub settings: Settings,
    /// Whether the wrong step is walked.
    pub walks: bool,
    /// Whether each target also continues by its own tokens.
    pub free: bool,
}

/// What decoding found.
pub struct Decoded {
    /// The reference's tokens after the prompt.
    pub tokens: Vec<i64>,
    /// The reference that ran, and why it is not the one that the user asked for.
    pub reference: (Target, Option<String>),
    /// The targets, in the order given.
    pub lanes: Vec<DecodeLane>,
    /// For each target, the feeds of its wrong step, if it has one.
    pub parted: Vec<Option<Vec<(ValueName, Tensor)>>>,
}

/// The reference's result of one step.
struct Wanted {
    moment: Moment,
    reference: Reference,
    outputs: BTreeMap<ValueName, Tensor>,
    scores: Scores,
}

impl Decoder<'_> {
    /// Runs the prompt and `steps` more tokens on the reference and every target.
    ///
    /// # Errors
    /// If the reference cannot run a step.
    pub fn decode(
        &self,
        prompt: &[i64],
        steps: usize,
        targets: &[(String, Target)],
        announce: &mut dyn FnMut(&str),
    ) -> Result<Decoded, Failure> {
        let engines: Vec<_> =
            targets.iter().map(|(_, target)| self.registry.engine(target)).collect();
        let mut lanes: Vec<Lane<'_>> = targets
            .iter()
            .zip(&engines)
            .map(|((name, target), engine)| Lane::new(self, name, target, engine.session()))
            .collect();
        let mut state = self.interface.first_state();
        let (mut text, mut past) = (prompt.to_vec(), 0);
        let mut fed = prompt.to_vec();
        let mut asked = (self.reference.clone(), None);
        for step in 0..=steps {
            if self.registry.interrupt().is_set() {
                break;
            }
            announce(&format!("step {step} of {steps}"));
            let wanted = self.wanted(self.moment(&fed, past, &state)?)?;
            let Reference { target, note, .. } = &wanted.reference;
            asked = (target.clone(), note.clone());
            let after = self.interface.state_after(&wanted.outputs).ok_or_else(Failure::bug)?;
            for lane in &mut lanes {
                lane.step(&wanted, &state)?;
            }
            (state, past) = match self.interface.has_state() {
                true => (after, past + fed.len()),
                false => (state, 0),
            };
            let next = wanted.scores.top() as i64;
            text.push(next);
            fed = if self.interface.has_state() { vec![next] } else { text.clone() };
        }
        let mut found = Vec::new();
        for lane in lanes {
            announce(&format!("{}: looking at the steps", lane.name()));
            found.push(lane.concluded(announce)?);
        }
        let (lanes, parted) = found.into_iter().unzip();
        Ok(Decoded { tokens: text[prompt.len()..].to_vec(), reference: asked, lanes, parted })
    }

    /// Runs the reference on a step.
    fn wanted(&self, moment: Moment) -> Result<Wanted, Failure> {
        let request = moment.request(self.deadline);
        let reference = Reference::run(self.registry, &request, &self.reference)?;
        let outputs: BTreeMap<ValueName, Tensor> = reference
            .execution
            .outputs
            .iter()
            .map(|output| (output.name.clone(), output.tensor.clone()))
            .collect();
        let scores = self.scores(&outputs).ok_or_else(|| {
            Failure::new(
                format!("find the scores `{}` in the reference's outputs", self.interface.logits),
                "the reference must return every output of the network",
            )
        })?;
        Ok(Wanted { moment, reference, outputs, scores })
    }

    fn scores(&self, outputs: &BTreeMap<ValueName, Tensor>) -> Option<Scores> {
        let logits = outputs.get(&self.interface.logits)?;
        Some(Scores::last_of(&logits.numbers(1), self.interface.vocabulary))
    }

    /// The rows of every map: states by layer, and the scores last.
    pub fn rows(&self) -> Vec<RowFacts> {
        let states = self.interface.states.iter().map(|state| RowFacts {
            layer: state.layer,
            role: state.role.name().into(),
            output: state.output.to_string(),
        });
        let logits = self.interface.logits.to_string();
        let scores = RowFacts { layer: None, role: "logits".into(), output: logits };
        states.chain([scores]).collect()
    }
}
