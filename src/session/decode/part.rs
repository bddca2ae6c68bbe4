//! Where a target parts from the reference: the first wrong step is walked on the target's own state.

use super::decoder::Decoder;
use super::lane::LaneRun;
use super::moment::by_name;
use super::sentence::{self, LaneSentence};
use crate::decode::{DecodeLane, DecodeStep, Part};
use crate::engine::Outcome;
use crate::graph::{ValueName, layer_of};
use crate::matrix::CellSource;
use crate::report::TargetReport;
use crate::session::Failure;
use crate::tensor::Tensor;
use crate::verdict::{Kind, News, Verdict};

/// The feeds of a step.
type Feeds = Vec<(ValueName, Tensor)>;

impl LaneRun<'_, '_> {
    /// The lane's verdict, and the feeds of its wrong step.
    pub(super) fn concluded(
        self,
        announce: &mut dyn FnMut(&str),
    ) -> Result<(DecodeLane, Option<Feeds>), Failure> {
        let mut lane = self.document();
        self.explain_flips(&mut lane.steps);
        let mut part = self.first_wrong(&mut lane, announce)?;
        if part.is_none() && self.may_hide(&lane) {
            part = self.hidden(announce)?;
        }
        let feeds = part
            .as_ref()
            .and_then(|part| self.moments.get(part.step)?.as_ref())
            .map(|moment| moment.tensors());
        let LaneSentence { kind, words } = sentence::of(&lane, part.as_ref());
        (lane.kind, lane.sentence, lane.part) = (kind, words, part);
        lane.free = self.decoder.free.then(|| self.continued(&lane)).transpose()?.flatten();
        Ok((lane, feeds))
    }

    /// The first step that is wrong even when its operators are looked at. If the walks of the first, the worst and
    /// the last bad step find no fault, the steps between them have none.
    fn first_wrong(
        &self,
        lane: &mut DecodeLane,
        announce: &mut dyn FnMut(&str),
    ) -> Result<Option<Part>, Failure> {
        let is_bad = |step: &usize| lane.steps[*step].kind.news() == News::Bad;
        let bad: Vec<usize> = (0..lane.steps.len()).filter(is_bad).collect();
        let mut clean = None;
        for step in telling(&lane.steps, &bad) {
            let mut walked = None;
            if self.decoder.walks {
                announce(&format!("{}: walking step {step}", lane.target));
                walked = self.walk(step)?;
            }
            let Some(walked) = walked else {
                return self.part(step, None, lane).map(Some);
            };
            let Verdict { kind, sentence, .. } = walked.verdict.clone();
            (lane.steps[step].kind, lane.steps[step].sentence) = (kind, sentence);
            if kind.news() == News::Bad && kind != Kind::Precision {
                let (step, walked) = match clean {
                    Some(_) => self.first_of(clean, (step, walked), announce)?,
                    None => self.earliest((step, walked), announce)?,
                };
                return self.part(step, Some(&walked), lane).map(Some);
            }
            clean = clean.or(Some(step));
        }
        if let Some(clean) = clean {
            let DecodeStep { kind, sentence, .. } = lane.steps[clean].clone();
            for step in bad {
                let of = &mut lane.steps[step];
                (of.kind, of.sentence) = (kind, sentence.clone());
            }
        }
        Ok(None)
    }

    /// Whether an operator may be wrong without showing: the steps ran, and the target exposes its operators.
    fn may_hide(&self, lane: &DecodeLane) -> bool {
        let ran = lane.steps.iter().any(|step| step.kind.news() == News::Good);
        self.decoder.walks && ran && self.decoder.registry.walker(self.target).is_some()
    }

    /// A step with an operator whose error the outputs hardly show: the prompt, the first token, the last token, and
    /// from there on the first step that shows it.
    fn hidden(&self, announce: &mut dyn FnMut(&str)) -> Result<Option<Part>, Failure> {
        let last = self.steps.len() - 1;
        let mut clean = None;
        for step in [0, 1, last] {
            if step > last || clean == Some(step) {
                continue;
            }
            announce(&format!("{}: walking step {step}", self.name()));
            match self.walk(step)?.filter(|walked| walked.sources().next().is_some()) {
                Some(walked) => {
                    let (step, walked) = self.first_of(clean, (step, walked), announce)?;
                    return self.part(step, Some(&walked), &self.document()).map(Some);
                }
                None => clean = Some(step),
            }
        }
        Ok(None)
    }

    /// The first step with a source, from a step that has one: an earlier step may have hidden it. The prompt is asked
    /// last, because its shapes differ from those of all other steps.
    fn earliest(
        &self,
        found: (usize, TargetReport),
        announce: &mut dyn FnMut(&str),
    ) -> Result<(usize, TargetReport), Failure> {
        let is_cheap = self.decoder.registry.walker(self.target).is_some();
        if found.0 == 0 || !is_cheap || found.1.sources().next().is_none() {
            return Ok(found);
        }
        let found = self.first_of(Some(0), found, announce)?;
        match found.0 {
            1 => self.first_of(None, found, announce),
            _ => Ok(found),
        }
    }

    /// The first step with a source, between a clean step and one with a source: a fault that begins stays.
    fn first_of(
        &self,
        clean: Option<usize>,
        mut found: (usize, TargetReport),
        announce: &mut dyn FnMut(&str),
    ) -> Result<(usize, TargetReport), Failure> {
        let mut low = clean.map_or(0, |clean| clean + 1);
        while low < found.0 {
            let middle = low + (found.0 - low) / 2;
            announce(&format!("{}: walking step {middle}", self.name()));
            match self.walk(middle)?.filter(|walked| walked.sources().next().is_some()) {
                Some(walked) => found = (middle, walked),
                None => low = middle + 1,
            }
        }
        Ok(found)
    }

    /// Walks a step on the target's own state; `None` if the feeds were not kept, or the target cannot be walked.
    fn walk(&self, step: usize) -> Result<Option<TargetReport>, Failure> {
        let Some(moment) = self.moments.get(step).and_then(Option::as_ref) else {
            return Ok(None);
        };
        let own = self.teacher.wanted(moment.clone())?;
        // A target that cannot be walked at all, or whose walk was interrupted, still has a first wrong step.
        let walked = self.evaluator(&own).walk(self.target, &mut |_| (), &mut |_| ()).ok();
        Ok(walked.filter(|walked| walked.outcome == Outcome::Completed))
    }

    fn part(
        &self,
        step: usize,
        walked: Option<&TargetReport>,
        lane: &DecodeLane,
    ) -> Result<Part, Failure> {
        let named = |op: &crate::walk::OpReport| CellSource {
            name: op.name.clone(),
            op_type: op.op_type.clone(),
            node: op.onnx_node.clone(),
        };
        let sources: Vec<CellSource> =
            walked.iter().flat_map(|walked| walked.sources()).map(named).collect();
        let of_row = || {
            let limit = lane.limit;
            let introduced = &lane.steps[step].introduced;
            let states = self.decoder.interface.states.iter().zip(introduced);
            let mut wrong = states.filter(|(_, error)| error.0 > limit);
            wrong.next().and_then(|(state, _)| state.layer)
        };
        let layer = sources.first().and_then(layer_of_source).or_else(of_row);
        let mut signs = sentence::pattern(lane, step);
        signs.extend(self.signs(step)?);
        signs.extend(walked.iter().flat_map(|walked| walked.verdict.diagnosis.clone()));
        Ok(Part {
            step,
            past: lane.steps[step].past,
            layer,
            sources,
            signs,
            walked: walked.map(|walked| walked.verdict.sentence.clone()),
        })
    }

    /// The words that a target chooses by itself. Up to its first flip they are those that it was fed.
    fn continued(&self, lane: &DecodeLane) -> Result<Option<Vec<i64>>, Failure> {
        let Decoder { interface, registry, deadline, .. } = self.decoder;
        let mut words: Vec<i64> = Vec::new();
        let engine = registry.engine(self.target);
        let mut session = engine.session();
        let (mut state, mut past) = (interface.first_state(), 0);
        let Some(first) = lane.steps.first() else { return Ok(None) };
        let (mut fed, mut text) = (first.fed.clone(), first.fed.clone());
        for _ in &lane.steps {
            let moment = self.decoder.moment(&fed, past, &state)?;
            let ran = session.execute(&moment.request(*deadline));
            let outputs = by_name(&ran.outputs);
            let (Some(scores), Some(after)) =
                (self.decoder.scores(&outputs), interface.state_after(&outputs))
            else {
                break;
            };
            let next = scores.top() as i64;
            words.push(next);
            text.push(next);
            (state, past, fed) = match interface.has_state() {
                true => (after, past + fed.len(), vec![next]),
                false => (state, 0, text.clone()),
            };
        }
        Ok(Some(words))
    }
}

/// The steps whose walks tell most about these steps: the first, the worst and the last.
fn telling(steps: &[DecodeStep], bad: &[usize]) -> Vec<usize> {
    let error =
        |step: usize| steps[step].introduced.iter().fold(0.0f64, |most, row| most.max(row.0));
    let worst = bad.iter().copied().max_by(|a, b| error(*a).total_cmp(&error(*b)));
    let mut told: Vec<usize> = Vec::new();
    for step in [bad.first().copied(), worst, bad.last().copied()].into_iter().flatten() {
        if !told.contains(&step) {
            told.push(step);
        }
    }
    told
}

/// The layer of an operator, by its name.
fn layer_of_source(source: &CellSource) -> Option<usize> {
    layer_of(source.node.as_ref().unwrap_or(&source.name))
}
