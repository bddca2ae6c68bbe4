//! Runs a data set: the reference and every target keep the network open and run one input after the
//! other. A journal records each input before and after its run. If a driver or this command dies, the
//! known results are not lost.

use super::agree_args::AgreeRunArgs;
use super::agree_lane::{Input, Ran, Runner};
use super::agree_walk::walk_worst;
use super::answer::Unwritten;
use super::matrix_from::public;
use super::place::{read_reference, read_target};
use super::prepare::{load, user_tolerance};
use super::screen;
use crate::agree::{
    AGREE_SCHEMA, Agree, DataFacts, Journal, Lane, ModelFacts, Position, Record, Rule, Task,
    measure,
};
use crate::choice::Source;
use crate::compare::Tolerance;
use crate::engine::{Engine, Output, Request, Target};
use crate::graph::{Model, ValueName};
use crate::inputs::{Dataset, Framing, Normalization, Preparation, Sample};
use crate::matrix::Shard;
use crate::session::{Failure, MovedRuns, Registry};
use crate::tensor::{Digest, Tensor};
use crate::worker::{find_converter, interrupted};
use indicatif::ProgressBar;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

/// Runs the share's inputs; returns the result, and a failure if journal lines could not be written.
pub(super) fn run(args: &AgreeRunArgs, shard: Shard) -> Result<(Agree, Unwritten), Failure> {
    let opened = Opened::new(args)?;
    let engines: Vec<Box<dyn Engine>> =
        opened.lanes.iter().map(|(_, target)| opened.registry.engine(target)).collect();
    let mut run = Run {
        opened: &opened,
        shard,
        runners: engines.iter().map(|engine| Runner::new(engine.session())).collect(),
        lanes: opened.lanes.iter().map(|(name, _)| Lane::new(name.clone())).collect(),
        journal: Journal::default(),
        progress: screen::steps(args.giving.output.quiet, 0),
    };
    run.take_over()?;
    run.go()?;
    let lanes = std::mem::take(&mut run.lanes);
    run.runners.clear();
    let mut agree = opened.document(lanes, shard)?.concluded();
    walk_worst(&opened, &mut agree)?;
    if !interrupted() {
        run.journal.finish();
    }
    agree.interrupted = interrupted();
    let folder = args.giving.out.as_deref().unwrap_or(Path::new("."));
    let failure = run.journal.failure().map(|error| Failure::write(folder, error));
    Ok((agree, failure.into_iter().collect()))
}

/// The arguments, network, data set and targets, read and checked before any run.
pub(super) struct Opened<'a> {
    pub(super) args: &'a AgreeRunArgs,
    model_path: &'a Path,
    data_path: &'a Path,
    pub(super) model: Model,
    pub(super) dataset: Dataset,
    pub(super) registry: Registry,
    /// The user's own tolerance, which replaces the table's.
    pub(super) user: Option<Tolerance>,
    /// The reference and then the targets, with their names in the result.
    pub(super) lanes: Vec<(String, Target)>,
    task: Task,
}

impl<'a> Opened<'a> {
    fn new(args: &'a AgreeRunArgs) -> Result<Self, Failure> {
        let user = user_tolerance(&args.tolerance)?;
        let (Some(model_path), Some(data_path)) = (&args.model, &args.data) else {
            return Err(Failure::bug());
        };
        let model = load(model_path, &args.shape)?;
        let picture = &args.picture;
        let preparation = Preparation {
            framing: Framing { resize: picture.resize, crop: picture.crop },
            normalization: Normalization::new(&picture.mean, &picture.std)?,
        };
        let values = (&*model.resolved_inputs()?, model.outputs());
        let dataset = Dataset::open(data_path, values, args.labels.as_deref(), preparation)?;
        let task = args.task.map_or_else(|| guess(&model, &dataset), Task::from);
        let registry = Registry::new(find_converter(), args.place.limits.memory)?;
        let lanes = lanes(args)?;
        Ok(Opened { args, model_path, data_path, model, dataset, registry, user, lanes, task })
    }

    pub(super) fn deadline(&self) -> Duration {
        Duration::from_secs(self.args.timeout)
    }

    /// The rule for measuring a lane against the reference's outputs.
    fn rule<'s>(&self, lane: usize, truth: &[Output], source: &'s Source<'s>) -> Rule<'s> {
        let scores = (self.task == Task::Classify).then(|| Task::scores(truth)).flatten();
        let declared = self.lanes[lane].1.declared_storage();
        let scores = scores.cloned();
        Rule { declared, user: self.user, scores, source: Some(source), parting: None }
    }

    /// The record with the measured errors of a lane's outputs: against the reference's outputs, unless
    /// the lane is the reference, and against the expected outputs of the data set.
    fn measured(
        &self,
        lane: usize,
        record: Record,
        ran: &Ran,
        truth: &[Output],
        source: &Source<'_>,
        sample: &Sample,
    ) -> Record {
        let outputs = &ran.execution.outputs;
        if outputs.is_empty() {
            return record;
        }
        // The expected outputs do not come from the reference, so its values are no source for this rule.
        let held_to = Rule { source: None, ..self.rule(lane, truth, source) };
        let (model, deadline) = (&self.model, self.deadline());
        let request = Request { model, feeds: &sample.feeds, repeats: 1, deadline };
        let runs = MovedRuns::of(&self.lanes[lane].1, request, None);
        let parting =
            |name: &ValueName, scores: &Tensor, classes| runs.parting(name, scores, classes);
        let rule = Rule { parting: Some(&parting), ..self.rule(lane, truth, source) };
        Record {
            measured: (lane > 0).then(|| measure(truth, outputs, &rule)),
            expected: (!sample.expected.is_empty())
                .then(|| measure(&expected(sample), outputs, &held_to)),
            ..record
        }
    }

    /// Fails if the outputs contain no class scores, or a label is not one of the classes.
    fn check(&self, truth: &[Output], sample: &Sample) -> Result<(), Failure> {
        if self.task == Task::Regress {
            return Ok(());
        }
        let scores = truth.iter().find(|output| Some(&output.name) == Task::scores(truth));
        let Some(scores) = scores else {
            return Err(Failure::new(
                "find class scores: no output has the shape [C] or [1, C]",
                "--task regress compares the outputs element by element",
            ));
        };
        match sample.label {
            Some(label) if label >= scores.tensor.len() => Err(Failure::new(
                format!(
                    "use the label {label} of {}: the network has {} classes",
                    sample.id,
                    scores.tensor.len()
                ),
                "labels are classes counted from 0",
            )),
            _ => Ok(()),
        }
    }

    /// A digest of everything that affects the result, including the documents of devices.
    fn key(&self, shard: Shard) -> Result<String, Failure> {
        let AgreeRunArgs { repeat, timeout, .. } = self.args;
        let parts = [
            env!("CARGO_PKG_VERSION").to_owned(),
            self.model.digest().to_string(),
            self.dataset.digest()?.to_string(),
            format!("{:?}", self.lanes),
            format!("{:?} {:?} {repeat} {timeout} {shard}", self.task, self.user),
        ];
        Ok(Digest::of(parts.iter().map(String::as_bytes)).hex().to_owned())
    }

    fn document(&self, lanes: Vec<Lane>, shard: Shard) -> Result<Agree, Failure> {
        let mut lanes = lanes.into_iter();
        let shares = (shard != Shard::WHOLE).then(|| shard.to_string());
        Ok(Agree {
            schema: AGREE_SCHEMA.into(),
            made_by: env!("CARGO_PKG_VERSION").into(),
            model: ModelFacts {
                path: public(&self.model_path.display().to_string()),
                digest: self.model.digest().clone(),
                nodes: self.model.node_count(),
            },
            data: DataFacts {
                path: public(&self.data_path.display().to_string()),
                inputs: self.dataset.len(),
                labels: self.dataset.labels(),
                preparation: self.dataset.preparation(),
                digest: self.dataset.digest()?,
            },
            task: self.task,
            shares: shares.into_iter().collect::<BTreeSet<_>>(),
            interrupted: false,
            reference: lanes.next().ok_or_else(Failure::bug)?,
            targets: lanes.collect(),
        })
    }
}

/// The reference and the targets, each target once.
fn lanes(args: &AgreeRunArgs) -> Result<Vec<(String, Target)>, Failure> {
    let reference = read_reference(&args.reference, &args.place)?;
    let mut lanes = vec![(public(&reference.to_string()), reference)];
    for text in &args.on {
        let target = read_target(text, &args.place)?;
        let name = public(&target.to_string());
        if !lanes[1..].iter().any(|(known, _)| *known == name) {
            lanes.push((name, target));
        }
    }
    Ok(lanes)
}

/// Outputs are classes if the data set has labels, or if the network ends in a Softmax.
fn guess(model: &Model, dataset: &Dataset) -> Task {
    let ends = |output: &str| {
        let writes = |outputs: &[String]| outputs.iter().any(|name| name == output);
        let mut nodes = model.nodes();
        nodes.any(|node| matches!(node.op_type, "Softmax" | "LogSoftmax") && writes(node.outputs))
    };
    match dataset.labels() > 0 || model.outputs().iter().any(|output| ends(output.as_str())) {
        true => Task::Classify,
        false => Task::Regress,
    }
}

/// One run in progress. Lane 0 is the reference.
struct Run<'a> {
    opened: &'a Opened<'a>,
    shard: Shard,
    runners: Vec<Runner<'a>>,
    lanes: Vec<Lane>,
    journal: Journal,
    progress: ProgressBar,
}

impl Run<'_> {
    /// Takes over the records of an unfinished command from `--out`. Without `--out` there is no journal.
    fn take_over(&mut self) -> Result<(), Failure> {
        let Some(folder) = &self.opened.args.giving.out else { return Ok(()) };
        let path = folder.join(format!("inputs{}.jsonl", self.shard.suffix()));
        let places: BTreeMap<Option<String>, usize> =
            (0..self.lanes.len()).map(|lane| (self.position(0, lane).target, lane)).collect();
        let (lanes, runners) = (&mut self.lanes, &mut self.runners);
        let mut absorb = |record: Record| {
            if let Some(&lane) = places.get(&record.target) {
                runners[lane].remember(&record);
                lanes[lane].tally.absorb(&record);
            }
        };
        let key = self.opened.key(self.shard)?;
        let journal = Journal::open(&path, &key, &mut absorb);
        self.journal = journal.map_err(|error| Failure::write(&path, error))?;
        Ok(())
    }

    fn position(&self, input: usize, lane: usize) -> Position {
        let target = (lane > 0).then(|| self.opened.lanes[lane].0.clone());
        Position { input, target }
    }

    /// Runs every remaining input, in order.
    fn go(&mut self) -> Result<(), Failure> {
        let (shard, count) = (self.shard, self.opened.dataset.len());
        let inputs = (0..count).filter(|input| shard.has(*input));
        let done = self.journal.done().cloned();
        let last = self.lanes.len() - 1;
        let next = done.map_or((0, 0), |done| {
            let lane = (0..=last).find(|lane| self.position(done.input, *lane) == done);
            match lane.unwrap_or(last) {
                lane if lane == last => (done.input + 1, 0),
                lane => (done.input, lane + 1),
            }
        });
        let quiet = self.opened.args.giving.output.quiet;
        self.progress = screen::steps(quiet, inputs.clone().count() as u64);
        for input in inputs {
            if interrupted() {
                break;
            }
            if input >= next.0 {
                self.input(input, if input == next.0 { next.1 } else { 0 })?;
            }
            self.progress.inc(1);
        }
        self.progress.finish_and_clear();
        Ok(())
    }

    /// Runs one input on this lane and the later ones. The reference always runs: all lanes need its outputs.
    fn input(&mut self, input: usize, from: usize) -> Result<(), Failure> {
        let sample = self.opened.dataset.read(input)?;
        let fed = Input {
            model: &self.opened.model,
            feeds: &sample.feeds,
            repeats: self.opened.args.repeat.max(1),
            deadline: self.opened.deadline(),
        };
        let request =
            Request { model: fed.model, feeds: fed.feeds, repeats: 1, deadline: fed.deadline };
        let reference = self.opened.registry.engine(&self.opened.lanes[0].1);
        let source = Source::new(request, reference);
        let mut truth: Vec<Output> = Vec::new();
        for lane in 0..self.lanes.len() {
            if lane > 0 && (lane < from || truth.is_empty()) {
                continue;
            }
            let position = self.position(input, lane);
            let is_new = lane >= from;
            if is_new {
                self.journal.start(&position);
            }
            let deadly = self.journal.is_deadly(&position);
            let ran = self.runners[lane].run(&fed, deadly);
            if interrupted() {
                self.journal.withdraw(&position);
                break;
            }
            if lane == 0 {
                truth.clone_from(&ran.execution.outputs);
                if !truth.is_empty() {
                    self.opened.check(&truth, &sample)?;
                }
            }
            if is_new {
                let record = ran.record(position, &sample);
                self.keep(lane, self.opened.measured(lane, record, &ran, &truth, &source, &sample));
            }
        }
        Ok(())
    }

    /// Adds the record of an input to the tally and to the journal.
    fn keep(&mut self, lane: usize, record: Record) {
        self.runners[lane].remember(&record);
        self.lanes[lane].tally.absorb(&record);
        self.journal.record(record);
    }
}

/// The outputs that the data set expects.
fn expected(sample: &Sample) -> Vec<Output> {
    let outputs = sample.expected.iter();
    outputs.map(|(name, tensor)| Output { name: name.clone(), tensor: tensor.clone() }).collect()
}
