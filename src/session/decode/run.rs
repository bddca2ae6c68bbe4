//! Runs the steps on the reference and on every lane.

use super::decoder::{Decoded, Decoder};
use super::lane::LaneRun;
use super::teacher::Teacher;
use crate::decode::RowFacts;
use crate::engine::{OrtTarget, Target};
use crate::session::Failure;

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
        let mut state = self.interface.first_state();
        let moment = self.moment(prompt, 0, &state)?;
        let possible = [self.reference.clone(), Target::Ort(OrtTarget::REFEREE)]
            .map(|target| self.registry.engine(&target));
        let (teacher, first) = Teacher::first(self, &possible, &moment)?;
        let engines: Vec<_> =
            targets.iter().map(|(_, target)| self.registry.engine(target)).collect();
        let mut lanes: Vec<LaneRun<'_, '_>> = targets
            .iter()
            .zip(&engines)
            .map(|((name, target), engine)| LaneRun::new(&teacher, name, target, engine.session()))
            .collect();
        let mut wanted = self.wanted(moment, first)?;
        let (mut text, mut past) = (prompt.to_vec(), 0);
        for step in 0..=steps {
            announce(&format!("step {step} of {steps}"));
            for lane in &mut lanes {
                lane.step(&wanted, &state)?;
            }
            if self.registry.interrupt().is_set() {
                break;
            }
            let next = wanted.scores.top() as i64;
            text.push(next);
            if step == steps {
                break;
            }
            let fed = match self.interface.has_state() {
                true => {
                    past = text.len() - 1;
                    state = self.interface.state_after(&wanted.outputs).ok_or_else(Failure::bug)?;
                    vec![next]
                }
                false => text.clone(),
            };
            wanted = teacher.wanted(self.moment(&fed, past, &state)?)?;
        }
        let mut found = Vec::new();
        for lane in lanes {
            announce(&format!("{}: looking at the steps", lane.name()));
            found.push(lane.concluded(announce)?);
        }
        let (lanes, parted) = found.into_iter().unzip();
        let tokens = text[prompt.len()..].to_vec();
        let reference = (teacher.target.clone(), teacher.note.clone());
        Ok(Decoded { tokens, reference, lanes, parted })
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
