//! A walk of samples, for values that do not fit into memory together. Every value is sampled first, and only
//! suspicious values are compared whole.

use super::outputs::{Asked, by_name, is_changed, refused};
use super::registry::arithmetic_of;
use super::{Evaluator, Failure};
use crate::engine::{Execution, Target};
use crate::graph::Boundary;
use crate::inputs::Dump;
use crate::report::TargetReport;
use crate::tensor::Tensor;
use crate::walk::{
    FoundSample, MOST_BYTES, SampledWalk, Sampling, Screened, Suspicion, ValueSample, fitted,
    screen,
};
use std::collections::{BTreeMap, BTreeSet};

/// How often values inside a piece with a fault are asked for. Each time at most half of its nodes are left.
const MOST_ROUNDS: usize = 8;

/// Values of a target, by their names.
type Whole<'w> = dyn FnMut(&BTreeSet<String>) -> Result<Dump, Failure> + 'w;

impl Evaluator<'_> {
    /// Judges the values that a device dumped, and walks them: all of them, or samples first.
    ///
    /// # Errors
    /// If a tensor of the dump cannot be read, or the reference refuses a node.
    pub fn walk_dump(
        &self,
        target: &Target,
        execution: &Execution,
        values: &Dump,
    ) -> Result<TargetReport, Failure> {
        let Some(sampling) = self.settings.sampling else {
            return self.judge_dumped(target, execution, values);
        };
        let found = |name: &str, right: &Tensor| {
            let value = values.read(name)?;
            let value = value.and_then(|value| fitted(&value, values.is_flat(name), right));
            Ok(value.map(|value| ValueSample::of(&value.tensor, sampling)))
        };
        let suspicion = self.screen(target, sampling, &found)?;
        self.walk_suspicious(target, execution, suspicion, &mut |names| Ok(values.only(names)))
    }

    /// Walks an engine that shows values as outputs: it is asked for all of them in groups that fit, and for suspicious
    /// ones again.
    pub(super) fn walk_sampled_outputs(
        &self,
        asked: &Asked<'_>,
        sampling: Sampling,
        announce: &mut dyn FnMut(&str),
    ) -> Result<TargetReport, Failure> {
        let (mut runs, mut splits_fusions) = (1, false);
        let mut samples = BTreeMap::new();
        let groups = groups(&asked.known);
        for (number, group) in groups.iter().enumerate() {
            announce(&format!("samples of values, run {} of {}", number + 1, groups.len()));
            runs += 1;
            let values = by_name(self.show(asked, group)?);
            splits_fusions |= is_changed(&asked.plain, &values);
            let sampled =
                values.iter().map(|(name, value)| (name.clone(), ValueSample::of(value, sampling)));
            samples.extend(sampled);
        }
        announce("comparing the samples");
        let found = |name: &str, _: &Tensor| Ok(samples.get(name).cloned());
        let suspicion = self.screen(asked.target, sampling, &found)?;
        let mut whole = |names: &BTreeSet<String>| {
            announce("values to compare whole");
            runs += 1;
            let is_wanted = |value: &&Boundary| names.contains(value.name.as_str());
            let wanted: Vec<Boundary> = asked.known.iter().filter(is_wanted).cloned().collect();
            Ok(Dump::from(by_name(self.show(asked, &wanted)?)))
        };
        let mut report = self.walk_suspicious(asked.target, &asked.plain, suspicion, &mut whole)?;
        if let Some(walk) = &mut report.walk {
            walk.candidate_runs = runs;
            walk.splits_fusions = splits_fusions && walk.sources.is_empty();
        }
        Ok(report)
    }

    fn show(&self, asked: &Asked<'_>, values: &[Boundary]) -> Result<Execution, Failure> {
        self.run_showing(asked.engine.as_ref(), values)
            .map_err(|reason| refused(asked.target, &reason))
    }

    fn screen(
        &self,
        target: &Target,
        sampling: Sampling,
        found: &FoundSample<'_>,
    ) -> Result<Suspicion, Failure> {
        let model = self.request.model;
        let storage = arithmetic_of(target, model).format;
        let (feeds, second) = (self.request.feeds, self.second());
        Ok(screen(&Screened { model, feeds, second, storage, sampling }, found)?)
    }

    /// Walks the suspicious values, and the values inside each piece that has a fault, until one node is left.
    fn walk_suspicious(
        &self,
        target: &Target,
        execution: &Execution,
        Suspicion { values: mut names, walk: sampled }: Suspicion,
        whole: &mut Whole<'_>,
    ) -> Result<TargetReport, Failure> {
        names.extend(self.request.model.outputs().iter().map(ToString::to_string));
        let mut values = whole(&names)?;
        let mut walk = self.walk_values(target, &values)?;
        for _ in 0..MOST_ROUNDS {
            let before = names.len();
            names.extend(walk.ops.iter().flat_map(|op| op.decided_by.clone()));
            if names.len() == before {
                break;
            }
            let more = whole(&names)?;
            if more.len() == values.len() {
                break;
            }
            let next = self.walk_values(target, &more)?;
            // A fused operator that is split for its inner value may lose its fault.
            if next.sources.is_empty() {
                break;
            }
            (values, walk) = (more, next);
        }
        walk.sampled = Some(SampledWalk { whole: values.len(), ..sampled });
        Ok(self.judge_values(target, execution, &values, walk))
    }
}

/// The values in groups that fit into memory, each with at least one value.
fn groups(values: &[Boundary]) -> Vec<Vec<Boundary>> {
    let mut groups: Vec<Vec<Boundary>> = Vec::new();
    let mut room = 0;
    for value in values {
        let bytes = value.shape.iter().product::<usize>() * value.dtype.size();
        match groups.last_mut().filter(|_| bytes <= room) {
            Some(group) => group.push(value.clone()),
            None => {
                groups.push(vec![value.clone()]);
                room = MOST_BYTES;
            }
        }
        room = room.saturating_sub(bytes);
    }
    groups
}
