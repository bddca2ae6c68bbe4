//! Runs a target many times on the same inputs: does it always compute the same?

use super::Registry;
use super::shown::Shown;
use crate::determinism::{
    DistinctResult, FirstUnsteady, OutputSpot, Padding, ResultTally, RunGroup, Spot, Way,
    digest_of, pattern, resized, spot,
};
use crate::engine::{
    Backend, Engine, Execution, MnnTarget, Outcome, Output, RanOn, Request, Target,
};
use crate::graph::{Dim, Model, ValueName};
use crate::inputs::{Feed, shapes_of};
use crate::report::plural;
use crate::tensor::{Digest, Tensor};
use crate::verdict::{Kind, distance, outcome_kind};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

/// The most runs that look for the first operator: each returns every value of the network.
const TAPPED: usize = 32;
/// New processes, if the user asks for no number.
const PROCESSES: usize = 5;
/// The share of the time of the runs in one process that new processes may take, if the user asks for no number. An
/// audit shall take at most 1.2 times as long as its runs alone.
const SHARE: f64 = 0.15;
/// The threads of the run that is compared with a run in one thread.
const THREADS: usize = 4;

/// A target that is to be run many times.
pub struct Steadiness<'a> {
    /// The network with its inputs.
    pub request: Request<'a>,
    /// The engines.
    pub registry: &'a Registry,
    /// The target.
    pub target: &'a Target,
    /// The number of runs in one process.
    pub runs: usize,
    /// The number of new processes; `None` for as many as are cheap.
    pub processes: Option<usize>,
    /// The size of the batch; `None` for no batch.
    pub batch: Option<usize>,
    /// An axis to pad with zeros.
    pub padding: Option<&'a Padding>,
}

/// What was found.
pub struct SteadinessFound {
    /// The groups of runs.
    pub lanes: Vec<RunGroup>,
    /// What really ran.
    pub ran_on: Option<RanOn>,
    /// Where two results of the same inputs differ.
    pub spots: Vec<OutputSpot>,
    /// The first operator whose result differs, or why none is named.
    pub first: Option<Result<FirstUnsteady, String>>,
    /// The kind of the verdict.
    pub kind: Kind,
    /// The verdict in a sentence.
    pub sentence: String,
}

/// A group of runs, with its results.
struct GroupRuns {
    tally: ResultTally,
    last: Execution,
    seconds: f64,
}

impl Steadiness<'_> {
    /// Runs the target in one process, in new processes, and in batches and threads if it has them.
    pub fn look(&self, announce: &mut dyn FnMut(&str)) -> SteadinessFound {
        let engine = self.registry.engine(self.target);
        let once = self.in_one_process(engine.as_ref(), &self.request, self.runs, announce);
        let mut lanes = vec![lane(Way::OneProcess, &once)];
        let fresh = match once.last.outcome {
            Outcome::Completed => self.in_new_processes(engine.as_ref(), once.seconds, announce),
            _ => GroupRuns { tally: ResultTally::default(), last: once.last.clone(), seconds: 0.0 },
        };
        if self.processes != Some(0) && once.last.outcome == Outcome::Completed {
            lanes.push(lane(Way::NewProcesses, &fresh));
        }
        let usual = once.tally.usual().map(|seen| seen.outputs.clone()).unwrap_or_default();
        if once.last.outcome == Outcome::Completed {
            lanes.extend(self.others(&usual, announce));
        }
        let (kind, sentence) = verdict(&once, &fresh);
        let is_unsteady = kind == Kind::Nondeterministic;
        let other =
            once.tally.others().chain(fresh.tally.distinct()).find(|seen| {
                !seen.outputs.is_empty() && digest_of(&seen.outputs) != digest_of(&usual)
            });
        let spots = other.map(|other| spots(&usual, &other.outputs)).unwrap_or_default();
        let first = is_unsteady.then(|| self.first_unsteady(engine.as_ref(), &once, announce));
        let ran_on = once.last.ran_on.clone();
        SteadinessFound { lanes, ran_on, spots, first, kind, sentence }
    }

    fn in_one_process(
        &self,
        engine: &dyn Engine,
        request: &Request<'_>,
        runs: usize,
        announce: &mut dyn FnMut(&str),
    ) -> GroupRuns {
        let request = Request { repeats: 1, ..*request };
        let mut session = engine.session();
        self.count(runs, &mut |run| {
            announce(&format!("run {} of {runs} in one process", run + 1));
            if run == 0 { session.execute(&request) } else { session.again(&request) }
        })
    }

    /// Without a number from the user: at least one process, and more while the next one still is cheap.
    fn in_new_processes(
        &self,
        engine: &dyn Engine,
        seconds: f64,
        announce: &mut dyn FnMut(&str),
    ) -> GroupRuns {
        let request = Request { repeats: 1, ..self.request };
        let most = self.processes.unwrap_or(PROCESSES);
        let budget = self.processes.map_or(SHARE * seconds, |_| f64::INFINITY);
        let started = Instant::now();
        let is_enough = |run: usize| {
            run > 0 && started.elapsed().as_secs_f64() * (run + 1) as f64 / run as f64 > budget
        };
        self.count_until(most, &is_enough, &mut |run| {
            announce(&format!("process {} of at most {most}", run + 1));
            engine.execute(&request)
        })
    }

    fn count(&self, runs: usize, execute: &mut dyn FnMut(usize) -> Execution) -> GroupRuns {
        self.count_until(runs, &|_| false, execute)
    }

    /// Counts the results of runs, until one fails or they are enough.
    fn count_until(
        &self,
        runs: usize,
        is_enough: &dyn Fn(usize) -> bool,
        execute: &mut dyn FnMut(usize) -> Execution,
    ) -> GroupRuns {
        let started = Instant::now();
        let mut tally = ResultTally::default();
        let nothing = if runs == 0 { Outcome::Completed } else { Outcome::Interrupted };
        let mut last = Execution::without_outputs(nothing, String::new());
        for run in 0..runs {
            if self.registry.interrupt().is_set() || is_enough(run) {
                break;
            }
            last = execute(run);
            if last.outcome != Outcome::Completed {
                break;
            }
            tally.add(std::mem::take(&mut last.outputs));
        }
        GroupRuns { tally, last, seconds: started.elapsed().as_secs_f64() }
    }

    /// Groups that may round differently: batches, padding and threads.
    fn others(&self, usual: &[Output], announce: &mut dyn FnMut(&str)) -> Vec<RunGroup> {
        let mut lanes = Vec::new();
        for (way, request, target) in self.variants() {
            announce(&way.words());
            let request = Request { model: &request.0, feeds: &request.1, ..self.request };
            let engine = self.registry.engine(&target);
            let mut ran = self.in_one_process(engine.as_ref(), &request, 1, &mut |_| ());
            let found: Vec<Output> = ran
                .tally
                .usual()
                .map(|seen| seen.outputs.iter().map(|output| cut_back(output, usual)).collect())
                .unwrap_or_default();
            if !found.is_empty() {
                ran.tally = ResultTally::default();
                ran.tally.add(found.clone());
            }
            let error = (!found.is_empty()).then(|| apart(usual, &found));
            lanes.push(RunGroup { relative_l2: error, ..lane(way, &ran) });
        }
        lanes
    }

    /// Whether all inputs have an open first axis and are 1 there, so the network takes a batch.
    pub fn takes_batch(&self) -> bool {
        self.batched(2, true).is_some()
    }

    /// The network with padded inputs.
    ///
    /// # Errors
    /// If no input has the axis, or an input is already as long.
    pub fn padded(&self, padding: &Padding) -> Result<(Model, Vec<Feed>), String> {
        let mut model = self.request.model.as_declared().into_owned();
        let values: Vec<(&ValueName, &Tensor)> =
            self.request.feeds.iter().map(|feed| (&feed.name, &feed.tensor)).collect();
        let padded = padding.pad(model.inputs(), &values)?;
        let padded = self.request.feeds.iter().zip(padded);
        let feeds: Vec<Feed> =
            padded.map(|(feed, tensor)| Feed::new(feed.name.clone(), "padded", tensor)).collect();
        model.fix_shapes(&shapes_of(&feeds)).map_err(|error| error.to_string())?;
        Ok((model, feeds))
    }

    fn variants(&self) -> Vec<(Way, (Model, Vec<Feed>), Target)> {
        let mut variants = Vec::new();
        if let Some(batch) = self.batch {
            for way in [Way::BatchOfSame(batch), Way::BatchOfOthers(batch)] {
                if let Some(request) = self.batched(batch, way == Way::BatchOfSame(batch)) {
                    variants.push((way, request, self.target.clone()));
                }
            }
        }
        if let Some(padding) = self.padding
            && let Ok(request) = self.padded(padding)
        {
            variants.push((Way::Padded(padding.length), request, self.target.clone()));
        }
        if let Target::Mnn(target @ MnnTarget { backend: Backend::Cpu, threads: None, .. }) =
            self.target
        {
            for threads in [1, THREADS] {
                let target = MnnTarget { threads: Some(threads as u16), ..target.clone() };
                let same = (self.request.model.clone(), self.request.feeds.to_vec());
                variants.push((Way::Threads(threads), same, Target::Mnn(target)));
            }
        }
        variants
    }

    /// The network with a batch in all inputs; `None` if an input's first axis is not open, or is not 1 here.
    fn batched(&self, batch: usize, is_same: bool) -> Option<(Model, Vec<Feed>)> {
        let mut model = self.request.model.as_declared().into_owned();
        let is_open = model.inputs().iter().all(|input| {
            input.shape.as_ref().is_some_and(|shape| matches!(shape.first(), Some(Dim::Symbol(_))))
        });
        let mut feeds = Vec::new();
        for feed in self.request.feeds {
            let tensor = repeated(&feed.tensor, batch, is_same)?;
            feeds.push(Feed::new(feed.name.clone(), "batch", tensor));
        }
        (is_open && model.fix_shapes(&shapes_of(&feeds)).is_ok()).then_some((model, feeds))
    }

    /// Asks for every value in several runs: the first one in the order of evaluation whose bytes differ.
    fn first_unsteady(
        &self,
        engine: &dyn Engine,
        once: &GroupRuns,
        announce: &mut dyn FnMut(&str),
    ) -> Result<FirstUnsteady, String> {
        let shown = Shown::of(&self.request, self.target)?;
        let request = Request { model: &shown.model, repeats: 1, ..self.request };
        let mut session = engine.session();
        let in_process = !once.tally.is_steady();
        let processes = self.processes.unwrap_or(PROCESSES);
        let runs = if in_process { TAPPED.min(self.runs) } else { processes };
        let mut seen: BTreeMap<ValueName, Results> = BTreeMap::new();
        for run in 0..runs {
            announce(&format!("run {} of {runs} with every value as an output", run + 1));
            let execution = match (in_process, run) {
                (false, _) => engine.execute(&request),
                (true, 0) => session.execute(&request),
                (true, _) => session.again(&request),
            };
            if execution.outcome != Outcome::Completed {
                return Err(execution.reason.unwrap_or_else(|| execution.outcome.to_string()));
            }
            for output in execution.outputs {
                let digest = digest_of(std::slice::from_ref(&output));
                let results = seen.entry(output.name).or_default();
                if results.digests.insert(digest) && results.spot.is_none() {
                    match &results.first {
                        None => results.first = Some(output.tensor),
                        Some(first) => results.spot = spot(first, &output.tensor),
                    }
                }
            }
        }
        let first = shown.nodes.iter().find_map(|(value, node, op_type)| {
            let results = seen.get(value)?;
            (results.digests.len() > 1).then(|| FirstUnsteady {
                node: node.clone(),
                op_type: op_type.clone(),
                value: value.clone(),
                distinct: results.digests.len(),
                runs,
                spot: results.spot.clone(),
            })
        });
        first.ok_or_else(|| {
            format!(
                "{runs} runs with every value as an output were all the same: the difference is inside a fused operator, or depends on time"
            )
        })
    }
}

/// The results of one value.
#[derive(Default)]
struct Results {
    digests: BTreeSet<Digest>,
    first: Option<Tensor>,
    /// Where the second result differs from the first.
    spot: Option<Spot>,
}

fn lane(way: Way, ran: &GroupRuns) -> RunGroup {
    let GroupRuns { tally, last, seconds } = ran;
    let distinct = tally.distinct().iter().map(|seen| DistinctResult {
        digest: seen.digest.clone(),
        runs: seen.runs,
        first: seen.first,
    });
    RunGroup {
        way,
        runs: tally.order().len(),
        distinct: distinct.collect(),
        order: if tally.is_steady() { Vec::new() } else { tally.order().to_vec() },
        pattern: pattern(tally.order()),
        relative_l2: None,
        outcome: last.outcome,
        reason: last.reason.clone(),
        seconds: *seconds,
    }
}

/// The verdict on a group whose last run did not complete; `None` if every run did.
fn failure(ran: &GroupRuns, what: &str) -> Option<(Kind, String)> {
    let kind = outcome_kind(ran.last.outcome)?;
    let reason = ran.last.reason.clone().unwrap_or_default();
    let words = match ran.tally.order().len() {
        0 => reason,
        count => format!("{count} {what} completed, and then: {reason}"),
    };
    Some((kind, words))
}

fn verdict(once: &GroupRuns, fresh: &GroupRuns) -> (Kind, String) {
    let runs = once.tally.order().len();
    let processes = fresh.tally.order().len();
    if let Some(failed) = failure(once, "runs in one process") {
        return failed;
    }
    let [here, there] = [once, fresh].map(|ran| ran.tally.distinct().len());
    let same = |ran: &GroupRuns| ran.tally.usual().map(|seen| seen.digest.clone());
    if here > 1 {
        let pattern = pattern(once.tally.order()).unwrap_or_default();
        let words = format!("{here} different results in {runs} runs of one process: {pattern}");
        return (Kind::Nondeterministic, words);
    }
    if there > 1 || (there == 1 && same(once) != same(fresh)) {
        let words = format!(
            "{runs} runs in one process are the same, and new processes differ: {} in {}; the result depends on what a process finds, such as memory, addresses or tuning",
            plural(there, "different result"),
            plural(processes, "process")
        );
        return (Kind::Nondeterministic, words);
    }
    // Results that differ say more than a failure after them.
    if let Some(failed) = failure(fresh, "new processes") {
        return failed;
    }
    let words = match processes {
        0 => format!("all {runs} runs in one process have the same bytes"),
        _ => format!(
            "all {runs} runs in one process and {} have the same bytes",
            plural(processes, "new process")
        ),
    };
    (Kind::Agrees, words)
}

fn spots(usual: &[Output], other: &[Output]) -> Vec<OutputSpot> {
    let pairs = usual.iter().filter_map(|output| {
        let other = other.iter().find(|other| other.name == output.name)?;
        let spot = spot(&output.tensor, &other.tensor)?;
        Some(OutputSpot { output: output.name.clone(), spot })
    });
    pairs.collect()
}

/// The relative L2 error of the worst output.
fn apart(usual: &[Output], found: &[Output]) -> f64 {
    let tensors = |outputs: &[Output]| -> Vec<Tensor> {
        outputs.iter().map(|output| output.tensor.clone()).collect()
    };
    distance(&tensors(usual), &tensors(found))
}

/// The part of an output that belongs to the first input of a batch, or to an input without its padding.
fn cut_back(output: &Output, usual: &[Output]) -> Output {
    let alone = usual.iter().find(|alone| alone.name == output.name);
    let part = alone.map(|alone| alone.tensor.shape()).filter(|shape| {
        // A result that is too small has no such part, and zeros would hide that.
        output.tensor.shape().iter().zip(*shape).all(|(extent, needed)| extent >= needed)
    });
    let part = part.and_then(|shape| resized(&output.tensor, shape));
    match part {
        Some(tensor) => Output { name: output.name.clone(), tensor },
        None => output.clone(),
    }
}

/// A tensor with a first axis of 1, `batch` times. Other elements are the tensor backwards.
fn repeated(tensor: &Tensor, batch: usize, is_same: bool) -> Option<Tensor> {
    (tensor.shape().first() == Some(&1)).then_some(())?;
    let bytes = tensor.to_bytes();
    let size = tensor.dtype().size();
    let backwards: Vec<u8> = bytes.rchunks(size).flatten().copied().collect();
    let others = if is_same { &bytes } else { &backwards };
    let all: Vec<u8> =
        bytes.iter().chain((1..batch).flat_map(|_| others.iter())).copied().collect();
    let mut shape = tensor.shape().to_vec();
    shape[0] = batch;
    Tensor::from_bytes(tensor.dtype(), &shape, &all).ok()
}
