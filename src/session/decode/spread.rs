//! Which flips rounding alone may cause. Runs of the reference with every rounding moved decode the same tokens, each
//! on its own state. So what rounding leaves in the state is counted, too.

use super::lane::LaneRun;
use super::moment::by_name;
use crate::decode::{DecodeStep, TokenScores};
use crate::session::moved::{ELEMENT, MovedRuns, RUNS};
use crate::session::registry::arithmetic_of;
use crate::tensor::Tensor;

/// Seeds of one run are this far apart, so that no two steps have the same noise.
const STRIDE: u64 = 1 << 20;

impl LaneRun<'_, '_> {
    /// Adds to each flip how far rounding may move the difference of its two scores.
    pub(super) fn explain_flips(&self, steps: &mut [DecodeStep]) {
        let flips = |step: &DecodeStep| step.token.is_some_and(|token| token.flip.is_some());
        let Some(last) = steps.iter().rposition(flips) else { return };
        let Some(moved) = self.moved_scores(&steps[..=last]) else { return };
        for (at, step) in steps.iter_mut().enumerate().filter(|(_, step)| flips(step)) {
            let Some(token) = &mut step.token else { continue };
            let pair = [token.want, token.got];
            if let Some(flip) = &mut token.flip {
                flip.allowed = self.allowed(&moved, at, pair, flip.margin);
            }
        }
    }

    /// By how much rounding may move the difference of two scores.
    fn allowed(
        &self,
        moved: &[Vec<TokenScores>],
        step: usize,
        [want, got]: [usize; 2],
        margin: f64,
    ) -> Option<f64> {
        let difference = |scores: &TokenScores| {
            let numbers = scores.numbers();
            Some(numbers.get(want)? - numbers.get(got)?)
        };
        let mut squares = 0.0;
        let mut size = 0.0f64;
        for run in moved {
            let scores = run.get(step)?;
            squares += (difference(scores)? - margin).powi(2);
            size = size.max(scores.numbers().get(want)?.abs());
        }
        // Storing rounds once more, each of the two scores.
        let format = arithmetic_of(self.target, self.decoder.model).format;
        Some(ELEMENT * (squares / moved.len() as f64).sqrt() + 2.0 * format.epsilon() * size)
    }

    /// The scores of each moved run at each step; `None` if a step cannot be computed.
    fn moved_scores(&self, steps: &[DecodeStep]) -> Option<Vec<Vec<TokenScores>>> {
        (0..RUNS as u64).map(|run| self.moved_run(steps, run)).collect()
    }

    fn moved_run(&self, steps: &[DecodeStep], run: u64) -> Option<Vec<TokenScores>> {
        let decoder = self.decoder;
        let mut state = decoder.interface.first_state();
        let mut all = Vec::new();
        for (at, step) in steps.iter().enumerate() {
            if decoder.registry.interrupt().is_set() {
                return None;
            }
            let moment = decoder.moment(&step.fed, step.past, &state).ok()?;
            let request = moment.request(decoder.deadline);
            let outputs = by_name(
                &MovedRuns::of(self.target, request, None).drawn(run * STRIDE + at as u64)?,
            );
            all.push(decoder.scores(&outputs)?);
            let after: Vec<Tensor> = decoder.interface.state_after(&outputs)?;
            if decoder.interface.has_state() {
                state = after;
            }
        }
        Some(all)
    }
}
