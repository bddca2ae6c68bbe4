//! What the values of a wrong step say about its cause: the pattern in the state, and runs of the reference on
//! positions or a mask that are off by one. If such a run gives the target's scores, the target made that mistake.

use super::lane::LaneRun;
use super::moment::{Moment, by_name};
use super::teacher::Wanted;
use crate::decode::{Sign, Stepped, relative, signs_of_state};
use crate::graph::ValueName;
use crate::session::Failure;
use crate::tensor::Tensor;
use std::collections::{BTreeMap, HashSet};

/// A run of the reference explains an error if it is this many times nearer to the target.
const NEARER: f64 = 20.0;
/// The most signs of the state that are named: later layers repeat the first one's.
const MOST: usize = 3;

impl LaneRun<'_, '_> {
    /// The signs of one step, in words.
    pub(super) fn signs(&self, step: usize) -> Result<Vec<String>, Failure> {
        let Some(moment) = self.moments.get(step).and_then(Option::as_ref) else {
            return Ok(Vec::new());
        };
        let own = self.teacher.wanted(moment.clone())?;
        let request = moment.request(self.decoder.deadline);
        let ran = self.decoder.registry.engine(self.target).execute(&request);
        let got = by_name(&ran.outputs);
        let mut signs = self.of_states(&own, &got);
        signs.extend(self.of_mistakes(&own, &got)?);
        Ok(signs)
    }

    fn of_states(&self, own: &Wanted, got: &BTreeMap<ValueName, Tensor>) -> Vec<String> {
        let declared = self.target.declared_storage();
        let mut seen = HashSet::new();
        let mut signs = Vec::new();
        for state in &self.decoder.interface.states {
            let before = own.moment.feeds.iter().find(|feed| feed.name == state.input);
            let (Some(before), Some(want), Some(got)) =
                (before, own.outputs.get(&state.output), got.get(&state.output))
            else {
                continue;
            };
            for sign in signs_of_state(Stepped { state, before: &before.tensor, want, got }) {
                let is_declared =
                    matches!(sign, Sign::Stored { format } if Some(format) == declared);
                if !is_declared && seen.insert(std::mem::discriminant(&sign)) {
                    signs.push(format!("`{}`: {sign}", state.output));
                }
            }
        }
        signs.truncate(MOST);
        signs
    }

    /// Mistakes in positions and in the mask that give the target's scores.
    fn of_mistakes(
        &self,
        own: &Wanted,
        got: &BTreeMap<ValueName, Tensor>,
    ) -> Result<Vec<String>, Failure> {
        let Some(found) = self.decoder.scores(got) else { return Ok(Vec::new()) };
        let error = relative(own.scores.numbers(), found.numbers());
        let mut signs = Vec::new();
        for (moment, words) in self.mistakes(&own.moment) {
            let Ok(mistaken) = self.teacher.wanted(moment) else { continue };
            let left = relative(mistaken.scores.numbers(), found.numbers());
            if left * NEARER <= error {
                signs.push(format!(
                    "the reference gives these scores if {words}: the error is {left:.1e} then, and {error:.1e} without"
                ));
            }
        }
        Ok(signs)
    }

    /// The step with one mistake each.
    fn mistakes(&self, moment: &Moment) -> Vec<(Moment, String)> {
        let interface = self.decoder.interface;
        let feed = |name: &ValueName| {
            let feed = moment.feeds.iter().find(|feed| feed.name == *name)?;
            Some((name.clone(), feed.tensor.clone()))
        };
        let mut mistakes = Vec::new();
        for (by, words) in [(1, "one too late"), (-1, "one too early")] {
            let moved = interface.positions.iter().filter_map(|name| {
                let (name, positions) = feed(name)?;
                Some((name, changed(&positions, |_, value| value + f64::from(by))?))
            });
            let all = moved.fold(moment.clone(), |moment, (name, moved)| moment.with(&name, moved));
            if !all.is_same(moment) {
                mistakes.push((all, format!("every position is {words}")));
            }
        }
        if let Some((name, mask)) = interface.mask.as_ref().and_then(feed) {
            let last = (moment.past + moment.fed.len()).saturating_sub(1);
            for (place, words) in [(last, "newest"), (0, "oldest")] {
                let short = changed(&mask, |at, value| if at == place { 0.0 } else { value });
                let words = format!("the mask hides the {words} token");
                mistakes.extend(short.map(|short| (moment.with(&name, short), words)));
            }
        }
        mistakes
    }
}

/// A tensor with other numbers, which its element type must hold.
fn changed(tensor: &Tensor, change: impl Fn(usize, f64) -> f64) -> Option<Tensor> {
    let numbers = tensor.numbers(1).into_iter().enumerate().map(|(at, value)| change(at, value));
    let numbers: Vec<f32> = numbers.map(|value| value as f32).collect();
    let wide = Tensor::from_f32(tensor.shape(), numbers).ok()?;
    wide.exactly(tensor.dtype()).ok()
}
