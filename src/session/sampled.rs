//! A walk of samples, for values that do not fit into memory together. Every value is sampled first, and only
//! suspicious values are compared whole.

use super::outputs::{Asked, by_name, is_changed, refused};
use super::registry::arithmetic_of;
use super::{Evaluator, Failure};
use crate::engine::Execution;
use crate::graph::{Boundary, Model};
use crate::inputs::Dump;
use crate::report::TargetReport;
use crate::walk::{
    MOST_BYTES, Role, SampledWalk, Sampling, Screened, Stopped, Suspicion, ValueSample, WalkReport,
    screen,
};
use std::collections::{BTreeMap, BTreeSet};

/// How often more values are asked for. Of a piece with a fault, at most half of the nodes are left each time.
const MOST_ROUNDS: usize = 8;

/// Values that were compared whole.
struct Compared {
    walk: WalkReport,
    /// How many values.
    count: usize,
    /// Whether the engine gives other outputs if these values are outputs, too.
    is_changed: bool,
}

impl Evaluator<'_> {
    /// Walks an engine that shows values as outputs: it is asked for all of them in groups that fit, and for suspicious
    /// ones again.
    pub(super) fn walk_sampled_outputs(
        &self,
        asked: &Asked<'_>,
        sampling: Sampling,
        announce: &mut dyn FnMut(&str),
    ) -> Result<TargetReport, Failure> {
        let mut runs = asked.plain.runs.as_ref().map_or(1, |runs| runs.repeats);
        let mut samples = BTreeMap::new();
        let groups = groups(&asked.known);
        for (number, group) in groups.iter().enumerate() {
            announce(&format!("samples of values, run {} of {}", number + 1, groups.len()));
            runs += 1;
            for (name, value) in by_name(self.show(asked, group)?) {
                samples.insert(name, ValueSample::of(&value, sampling));
            }
        }
        announce("comparing the samples");
        let suspicion = self.screen(asked, sampling, &samples)?;
        let mut compare = |names: &BTreeSet<String>| {
            announce("values to compare whole");
            runs += 1;
            self.compare_whole(asked, names)
        };
        let mut room = Room::new(&asked.known);
        let compared = self.walk_suspicious(suspicion.values, &mut room, &mut compare)?;
        let mut walk = compared.walk;
        walk.candidate_runs = runs;
        walk.splits_fusions = compared.is_changed && walk.sources.is_empty();
        walk.sampled = Some(SampledWalk {
            elements: sampling.elements,
            seed: sampling.seed,
            values: suspicion.sampled,
            whole: compared.count,
            left: suspicion.left + room.refused.len(),
            seen_share: sampling.seen_share(),
        });
        // An engine's own outputs have the network's order of axes, so the judgement needs no values.
        Ok(self.judge_values(asked.target, &asked.plain, &Dump::default(), walk))
    }

    fn show(&self, asked: &Asked<'_>, values: &[Boundary]) -> Result<Execution, Failure> {
        self.run_showing(asked.engine.as_ref(), values)
            .map_err(|reason| refused(asked.target, &reason))
    }

    fn screen(
        &self,
        asked: &Asked<'_>,
        sampling: Sampling,
        samples: &BTreeMap<String, ValueSample>,
    ) -> Result<Suspicion, Failure> {
        let model = self.request.model;
        let storage = arithmetic_of(asked.target, model).format;
        let (feeds, second) = (self.request.feeds, self.second());
        let screened = Screened { model, feeds, second, storage, sampling };
        let found = |name: &str| samples.get(name).cloned();
        Ok(screen(&screened, &found).map_err(Stopped::Reference)?)
    }

    /// Asks for these values, as far as the target shows them, and compares them whole.
    fn compare_whole(
        &self,
        asked: &Asked<'_>,
        names: &BTreeSet<String>,
    ) -> Result<Compared, Failure> {
        let is_wanted = |value: &&Boundary| names.contains(value.name.as_str());
        let wanted: Vec<Boundary> = asked.known.iter().filter(is_wanted).cloned().collect();
        let values = by_name(self.show(asked, &wanted)?);
        let (count, is_changed) = (values.len(), is_changed(&asked.plain, &values));
        let walk = self.walk_values(asked.target, &Dump::from(values))?;
        Ok(Compared { walk, count, is_changed })
    }

    /// Compares the suspicious values and the outputs. Then, until nothing new is asked for, the values inside a piece
    /// that has a fault, and what reads a value that seems wrong: a value may only be shown wrongly.
    fn walk_suspicious(
        &self,
        suspicious: BTreeSet<String>,
        room: &mut Room<'_>,
        compare: &mut dyn FnMut(&BTreeSet<String>) -> Result<Compared, Failure>,
    ) -> Result<Compared, Failure> {
        let model = self.request.model;
        let outputs = || model.outputs().iter().map(ToString::to_string);
        let mut names: BTreeSet<String> = suspicious.into_iter().chain(outputs()).collect();
        let mut found = compare(&names)?;
        if found.is_changed && found.walk.sources.is_empty() {
            // The engine splits a fused operator for these values, and its fault may vanish with that.
            names = outputs().collect();
            found = compare(&names)?;
        }
        for _ in 0..MOST_ROUNDS {
            let before = names.len();
            room.refused.clear();
            for op in found.walk.ops.iter().filter(|op| op.role == Role::Source) {
                match op.piece.is_empty() {
                    // Without these values, an operator would be accused whose value is only shown wrongly.
                    true => names.extend(around_readers(model, &op.name)),
                    false => room.admit(&op.name, &op.decided_by, &mut names),
                }
            }
            if names.len() == before {
                break;
            }
            let next = compare(&names)?;
            let vanished = next.is_changed && next.walk.sources.is_empty();
            if next.count == found.count || vanished {
                break;
            }
            found = next;
        }
        Ok(found)
    }
}

/// The memory for the values inside pieces that are asked for after the suspicious ones.
struct Room<'a> {
    /// The bytes of each value that the target can show.
    sizes: BTreeMap<&'a str, usize>,
    free: usize,
    /// The operators whose values did not fit.
    refused: BTreeSet<String>,
}

impl<'a> Room<'a> {
    fn new(known: &'a [Boundary]) -> Self {
        let sizes = known.iter().map(|value| (value.name.as_str(), bytes(value))).collect();
        Room { sizes, free: MOST_BYTES, refused: BTreeSet::new() }
    }

    /// Adds a piece's values to `names` if they fit. The first piece always does.
    fn admit(&mut self, operator: &str, values: &[String], names: &mut BTreeSet<String>) {
        let is_new =
            |name: &String| self.sizes.contains_key(name.as_str()) && !names.contains(name);
        let new: BTreeSet<String> = values.iter().filter(|name| is_new(name)).cloned().collect();
        let needed: usize = new.iter().map(|name| self.sizes[name.as_str()]).sum();
        if needed <= self.free || self.free == MOST_BYTES {
            self.free = self.free.saturating_sub(needed);
            names.extend(new);
        } else {
            self.refused.insert(operator.to_owned());
        }
    }
}

fn bytes(value: &Boundary) -> usize {
    value.shape.iter().product::<usize>() * value.dtype.size()
}

/// What the nodes read and write that read a node's outputs.
fn around_readers(model: &Model, label: &str) -> Vec<String> {
    let Some(node) = model.nodes().find(|node| node.label() == label) else { return Vec::new() };
    let reads = |input: &String| !input.is_empty() && node.outputs.contains(input);
    let readers = model.nodes().filter(|reader| reader.inputs.iter().any(reads));
    readers.flat_map(|reader| reader.inputs.iter().chain(reader.outputs).cloned()).collect()
}

/// The values in groups that fit into memory, each with at least one value.
fn groups(values: &[Boundary]) -> Vec<Vec<Boundary>> {
    let mut groups: Vec<Vec<Boundary>> = Vec::new();
    let mut room = 0;
    for value in values {
        let bytes = bytes(value);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::Dtype;

    #[test]
    fn values_that_do_not_fit_are_not_asked_for() {
        let elements = MOST_BYTES / 4;
        let value = |name: &str, share: usize| Boundary {
            name: name.into(),
            dtype: Dtype::F32,
            shape: vec![elements / share],
        };
        let known = [value("a", 2), value("b", 2), value("c", 4)];
        let (mut room, mut names) = (Room::new(&known), BTreeSet::from(["a".to_owned()]));
        let values = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        room.admit("first", &values(&["a", "b", "hidden"]), &mut names);
        room.admit("second", &values(&["c"]), &mut names);
        assert!(room.refused.is_empty());
        let mut room = Room::new(&known);
        names.clear();
        room.admit("first", &values(&["a", "c"]), &mut names);
        room.admit("second", &values(&["b"]), &mut names);
        assert_eq!(room.refused, BTreeSet::from(["second".to_owned()]));
        assert_eq!(names, BTreeSet::from(["a".to_owned(), "c".to_owned()]));
        let large = [value("d", 1), value("e", 1)];
        let mut room = Room::new(&large);
        room.admit("first", &values(&["d", "e"]), &mut names);
        assert!(room.refused.is_empty() && names.contains("e"));
    }
}
