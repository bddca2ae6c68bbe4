//! Runs a quantised network with chosen layers in float: what does quantising each layer cost, and which layers must
//! stay in float?

use super::shown::{showing, values};
use super::{Failure, Registry, second_engine};
use crate::bench::{BenchLane, TurnPlan, finish, take_turns};
use crate::engine::{Engine, EngineSession, OrtTarget, Outcome, Output, RanOn, Request, Target};
use crate::graph::{Model, QuantisedPair, Steps, ValueName};
use crate::inputs::{Feed, Sample};
use crate::quantised::{
    ActivationRange, FrontPoint, LayerReport, QuantisedGoal, Score, ScoreSum, Unmovable,
};
use crate::walk::{Set, smallest};
use std::collections::BTreeMap;
use std::time::Duration;

/// Timed runs of each network of the front, and of each of its turns.
const TIMED: TurnPlan = TurnPlan { iterations: 40, turn: 10 };

/// A float network, its quantised form, and the inputs.
pub struct QuantisedSearch<'a> {
    /// The engines.
    pub registry: &'a Registry,
    /// The target that runs every network.
    pub target: &'a Target,
    /// The float network.
    pub float: &'a Model,
    /// Its layers in the quantised network.
    pub pair: &'a QuantisedPair<'a>,
    /// The inputs.
    pub samples: &'a [Sample],
    /// The output with class scores.
    pub scores: Option<ValueName>,
    /// What the outputs must reach.
    pub goal: QuantisedGoal,
    /// The longest one run may take.
    pub deadline: Duration,
}

/// What was found.
pub struct QuantisedFound {
    /// What really ran.
    pub ran_on: Option<RanOn>,
    /// The layers, in the network's order.
    pub layers: Vec<LayerReport>,
    /// Quantised nodes that cannot stay in float.
    pub unmovable: Vec<Unmovable>,
    /// The layers that must stay in float, and how far that is proven; `None` if no set reaches the goal.
    pub kept: Option<(Set, usize)>,
    /// Accuracy against time.
    pub front: Vec<FrontPoint>,
    /// The number of networks that were run.
    pub networks: usize,
    /// Why the ranges of activations are unknown.
    pub no_ranges: Option<String>,
}

impl QuantisedSearch<'_> {
    /// Measures every layer, searches for the smallest set, and times the networks between.
    ///
    /// # Errors
    /// If the target does not run the float network or the quantised one, or the user ends the search.
    pub fn look(&self, announce: &mut dyn FnMut(&str)) -> Result<QuantisedFound, Failure> {
        announce("the float network");
        let engine = self.registry.engine(self.target);
        let mut session = engine.session();
        let failed = |why: String| self.failure(&why);
        let (truth, ran_on) =
            self.outputs(session.as_mut(), self.float, "the float network").map_err(failed)?;
        let mut trials = Trials { search: self, session, truth, known: BTreeMap::new(), announce };
        let all: Set = (0..self.pair.layers().len()).collect();
        trials.run(&Set::new()).map_err(failed)?;
        let costs: Vec<_> = all.iter().map(|layer| trials.costs(*layer, &all)).collect();
        let order = order(&costs);
        let reaches = &mut |set: &Set| match trials.run(set) {
            Ok(score) => Ok(self.goal.is_reached(&score)),
            Err(why) if self.registry.interrupt().is_set() => Err(why),
            // A network that the target does not run is of no use.
            Err(_) => Ok(false),
        };
        let kept = match smallest(&order, 1, reaches) {
            // What was measured before the interruption is reported.
            Err(_) if self.registry.interrupt().is_set() => None,
            searched => searched.map_err(failed)?,
        };
        let kept = kept.map(|found| (found.set, found.proven));
        let front = trials.front(&order, kept.as_ref().map(|(set, _)| set));
        let networks = trials.known.len() + 1;
        let (ranges, no_ranges) = match self.ranges(engine.as_ref()) {
            Ok(ranges) => (ranges, None),
            Err(why) => (BTreeMap::new(), Some(why)),
        };
        let unmovable = self.pair.stuck().iter();
        Ok(QuantisedFound {
            ran_on,
            layers: self.layers(&costs, &ranges),
            unmovable: unmovable
                .map(|(node, why)| Unmovable { node: node.clone(), reason: why.clone() })
                .collect(),
            kept,
            front,
            networks,
            no_ranges,
        })
    }

    fn request<'r>(&self, model: &'r Model, feeds: &'r [Feed]) -> Request<'r> {
        Request { model, feeds, repeats: 1, deadline: self.deadline }
    }

    /// The outputs of a network for every input.
    fn outputs(
        &self,
        session: &mut dyn EngineSession,
        model: &Model,
        name: &str,
    ) -> Result<(Vec<Vec<Output>>, Option<RanOn>), String> {
        let (mut all, mut ran_on) = (Vec::new(), None);
        for sample in self.samples {
            let request = self.request(model, &sample.feeds);
            let execution = match all.is_empty() {
                true => session.execute(&request),
                false => session.next(&request),
            };
            if execution.outcome != Outcome::Completed {
                let why = execution.reason.unwrap_or_else(|| execution.outcome.to_string());
                return Err(format!("{name}: {why}"));
            }
            ran_on = execution.ran_on;
            all.push(execution.outputs);
        }
        Ok((all, ran_on))
    }

    fn failure(&self, why: &str) -> Failure {
        let hint = "a run of the network on the target says more: offby run MODEL --on TARGET";
        Failure::new(format!("search the layers on {}: {why}", self.target), hint)
    }

    fn layers(
        &self,
        costs: &[(Option<Score>, Option<Score>)],
        ranges: &BTreeMap<ValueName, Range>,
    ) -> Vec<LayerReport> {
        let layers = self.pair.layers().iter().zip(costs);
        let report = |(layer, (only_quantised, only_float)): (_, &(_, _))| {
            let layer: &crate::graph::QuantisedLayer = layer;
            let range = |(name, steps): &(ValueName, Steps)| {
                let range = ranges.get(name)?;
                Some(ActivationRange {
                    value: name.to_string(),
                    scale: steps.scale,
                    stored: (steps.low, steps.high),
                    measured: (range.low, range.high),
                    saturated: range.outside as f64 / range.elements as f64,
                    to_zero: range.to_zero as f64 / range.elements as f64,
                })
            };
            LayerReport {
                node: layer.label.clone(),
                op_type: layer.op_type.clone(),
                only_quantised: *only_quantised,
                only_float: *only_float,
                ranges: layer.activations.iter().filter_map(range).collect(),
            }
        };
        layers.map(report).collect()
    }

    /// The ranges of the quantised values, in the float network on the target.
    fn ranges(&self, engine: &dyn Engine) -> Result<BTreeMap<ValueName, Range>, String> {
        let steps: BTreeMap<ValueName, Steps> =
            self.pair.layers().iter().flat_map(|layer| layer.activations.iter().cloned()).collect();
        let Some(sample) = self.samples.first() else { return Ok(BTreeMap::new()) };
        let referee = self.registry.engine(&Target::Ort(OrtTarget::REFEREE));
        let second = second_engine(referee, self.deadline, false);
        let mut shown =
            values(&self.request(self.float, &sample.feeds), self.target, Some(second))?;
        shown.retain(|value| steps.contains_key(&value.name));
        let model = showing(self.float, &shown)?;
        let mut ranges = BTreeMap::new();
        let mut session = engine.session();
        for (at, sample) in self.samples.iter().enumerate() {
            let request = self.request(&model, &sample.feeds);
            let execution =
                if at == 0 { session.execute(&request) } else { session.next(&request) };
            if execution.outcome != Outcome::Completed {
                return Err(execution.reason.unwrap_or_else(|| execution.outcome.to_string()));
            }
            let fed = sample.feeds.iter().map(|feed| (&feed.name, &feed.tensor));
            let values = execution.outputs.iter().map(|output| (&output.name, &output.tensor));
            for (name, tensor) in fed.chain(values) {
                if let Some(steps) = steps.get(name) {
                    let range = ranges.entry(name.clone()).or_insert_with(Range::empty);
                    range.add(&tensor.numbers(1), steps);
                }
            }
        }
        Ok(ranges)
    }
}

/// The layers, the one first that costs most if only that layer is quantised.
fn order(costs: &[(Option<Score>, Option<Score>)]) -> Vec<usize> {
    let cost = |layer: &usize| match &costs[*layer].0 {
        Some(score) => score.relative_l2.unwrap_or(f64::INFINITY),
        // No engine ran it. It may be right to keep it.
        None => f64::INFINITY,
    };
    let mut order: Vec<usize> = (0..costs.len()).collect();
    order.sort_by(|a, b| cost(b).total_cmp(&cost(a)));
    order
}

/// Runs of the quantised network with layers in float.
struct Trials<'t, 's> {
    search: &'t QuantisedSearch<'s>,
    session: Box<dyn EngineSession + 't>,
    /// The float network's outputs for every input.
    truth: Vec<Vec<Output>>,
    known: BTreeMap<Set, Score>,
    announce: &'t mut dyn FnMut(&str),
}

impl Trials<'_, '_> {
    /// The score with the layers of a set in float.
    fn run(&mut self, set: &Set) -> Result<Score, String> {
        if let Some(known) = self.known.get(set) {
            return Ok(*known);
        }
        let count = self.search.pair.layers().len();
        (self.announce)(&format!(
            "network {} of at least {}: {} of {count} layers in float",
            self.known.len() + 1,
            2 * count,
            set.len()
        ));
        let search = self.search;
        let name = format!("the network with {} of {count} layers in float", set.len());
        let model = search.pair.with_float(set)?;
        let (found, _) = search.outputs(self.session.as_mut(), &model, &name)?;
        let mut sum = ScoreSum::default();
        for ((float, found), sample) in self.truth.iter().zip(&found).zip(search.samples) {
            sum.add(float, found, search.scores.as_ref(), sample.label);
        }
        let score = sum.score();
        self.known.insert(set.clone(), score);
        Ok(score)
    }

    /// The scores if only this layer is quantised, and if only this layer is in float. `None` if the target does not
    /// run such a network.
    fn costs(&mut self, layer: usize, all: &Set) -> (Option<Score>, Option<Score>) {
        let others = all.iter().copied().filter(|other| *other != layer).collect();
        (self.run(&others).ok(), self.run(&[layer].into()).ok())
    }

    /// The float network, and the quantised one with ever more layers in float: each network's score and median time.
    fn front(&mut self, order: &[usize], found: Option<&Set>) -> Vec<FrontPoint> {
        let first = |count: usize| order.iter().take(count).copied().collect::<Set>();
        let doubled = std::iter::successors(Some(1), |count| Some(count * 2));
        let counts = doubled.take_while(|count| *count < order.len()).chain([order.len()]);
        let mut sets: Vec<Set> = std::iter::once(Set::new()).chain(counts.map(first)).collect();
        sets.extend(found.filter(|found| !sets.contains(found)).cloned());
        sets.sort_by_key(Set::len);
        let mut points =
            vec![FrontPoint { kept: None, is_found: false, score: self.float(), seconds: None }];
        let mut models = vec![self.search.float.clone()];
        for set in &sets {
            let (Ok(score), Ok(model)) = (self.run(set), self.search.pair.with_float(set)) else {
                continue;
            };
            let (kept, is_found) = (Some(set.len()), Some(set) == found);
            points.push(FrontPoint { kept, is_found, score, seconds: None });
            models.push(model);
        }
        for (point, seconds) in points.iter_mut().zip(self.seconds(&models)) {
            point.seconds = seconds;
        }
        points
    }

    /// The float network against itself.
    fn float(&self) -> Score {
        let mut sum = ScoreSum::default();
        for (float, sample) in self.truth.iter().zip(self.search.samples) {
            sum.add(float, float, self.search.scores.as_ref(), sample.label);
        }
        sum.score()
    }

    /// Median seconds of a run of each network; the networks take turns.
    fn seconds(&mut self, models: &[Model]) -> Vec<Option<f64>> {
        let Some(sample) = self.search.samples.first() else { return Vec::new() };
        if self.search.registry.interrupt().is_set() {
            return Vec::new();
        }
        let engine = self.search.registry.engine(self.search.target);
        let mut lanes: Vec<BenchLane<'_>> = Vec::new();
        for model in models {
            (self.announce)(&format!("timing: opening {} of {}", lanes.len() + 1, models.len()));
            let request = self.search.request(model, &sample.feeds);
            lanes.push(BenchLane::open(engine.session(), request));
        }
        take_turns(&mut lanes, TIMED, &mut |lane, round, rounds| {
            (self.announce)(&format!(
                "timing: network {}, turn {} of {rounds}",
                lane + 1,
                round + 1
            ));
        });
        let benches = finish(lanes).into_iter();
        benches.map(|(_, bench)| bench.map(|bench| bench.latency.median)).collect()
    }
}

/// The range of a value over all inputs.
struct Range {
    low: f64,
    high: f64,
    outside: usize,
    /// How many elements are not 0, and round to 0.
    to_zero: usize,
    elements: usize,
}

impl Range {
    fn empty() -> Self {
        let (low, high) = (f64::INFINITY, f64::NEG_INFINITY);
        Range { low, high, outside: 0, to_zero: 0, elements: 0 }
    }

    fn add(&mut self, numbers: &[f64], steps: &Steps) {
        // Half a step beyond the range still rounds to its end.
        let (low, high) = (steps.low - steps.scale / 2.0, steps.high + steps.scale / 2.0);
        for number in numbers {
            self.low = self.low.min(*number);
            self.high = self.high.max(*number);
            self.outside += usize::from(*number < low || *number > high);
            self.to_zero += usize::from(*number != 0.0 && number.abs() <= steps.scale / 2.0);
        }
        self.elements += numbers.len();
    }
}
