//! The arguments, network, data set and targets of `offby agree`, read and checked before any run.

use super::agree_args::AgreeRunArgs;
use super::agree_inputs::{AgreeInputs, GivenInput};
use super::agree_lane::InputRun;
use super::matrix_from::public;
use super::place::{read_reference, read_target};
use super::prepare::{load, user_tolerance};
use crate::agree::{
    AGREE_SCHEMA, Agree, AgreeLane, DataFacts, ModelFacts, Record, Rule, Task, measure,
};
use crate::choice::ReferenceSource;
use crate::compare::Tolerance;
use crate::engine::{Output, Request, Target};
use crate::graph::{Model, ValueName};
use crate::inputs::Sample;
use crate::matrix::Shard;
use crate::session::{Failure, MovedRuns, Registry};
use crate::tensor::{Digest, Tensor};
use crate::worker::find_converter;
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

/// The arguments, network, data set and targets, read and checked before any run.
pub(super) struct Opened<'a> {
    pub(super) args: &'a AgreeRunArgs,
    pub(super) model_path: &'a Path,
    pub(super) data_path: &'a Path,
    pub(super) model: Model,
    pub(super) inputs: AgreeInputs,
    pub(super) registry: Registry,
    /// The user's own tolerance, which replaces the table's.
    pub(super) user: Option<Tolerance>,
    /// The reference and then the targets, with their names in the result.
    pub(super) lanes: Vec<(String, Target)>,
    pub(super) task: Task,
}

impl<'a> Opened<'a> {
    pub(super) fn new(args: &'a AgreeRunArgs) -> Result<Self, Failure> {
        let user = user_tolerance(&args.tolerance)?;
        let (Some(model_path), Some(data_path)) = (&args.model, &args.data) else {
            return Err(Failure::bug());
        };
        let model = load(model_path, &args.shape)?;
        let inputs = AgreeInputs::open(args, &model, data_path)?;
        let task = args.task.map_or_else(|| guess(&model, inputs.labels()), Task::from);
        let registry = Registry::new(find_converter(), args.place.limits.memory)?;
        let lanes = lanes(args)?;
        Ok(Opened { args, model_path, data_path, model, inputs, registry, user, lanes, task })
    }

    pub(super) fn deadline(&self) -> Duration {
        Duration::from_secs(self.args.timeout)
    }

    /// The rule for measuring a lane against the reference's outputs.
    pub(super) fn rule<'s>(
        &self,
        lane: usize,
        truth: &[Output],
        source: &'s ReferenceSource<'s>,
    ) -> Rule<'s> {
        let scores = (self.task == Task::Classify).then(|| Task::scores(truth)).flatten();
        let declared = self.lanes[lane].1.declared_storage();
        let scores = scores.cloned();
        Rule { declared, user: self.user, scores, source: Some(source), parting: None }
    }

    /// The record with the measured errors of a lane's outputs: against the reference's outputs, unless
    /// the lane is the reference, and against the expected outputs of the data set.
    pub(super) fn measured(
        &self,
        lane: usize,
        record: Record,
        ran: &InputRun,
        truth: &[Output],
        source: &ReferenceSource<'_>,
        given: &GivenInput,
    ) -> Record {
        let (outputs, sample) = (&ran.execution.outputs, &given.sample);
        if outputs.is_empty() {
            return record;
        }
        // The expected outputs do not come from the reference, so its values are no source for this rule.
        let held_to = Rule { source: None, ..self.rule(lane, truth, source) };
        let (model, deadline) = (given.model(&self.model), self.deadline());
        let request = Request { model, feeds: &sample.feeds, repeats: 1, deadline };
        let runs = MovedRuns::of(&self.lanes[lane].1, request, None);
        let parting = |name: &ValueName, scores: &Tensor, classes| {
            let place = given.token.as_ref().map_or(0, |token| token.place);
            runs.parting(name, (scores, place), classes)
        };
        let rule = Rule { parting: Some(&parting), ..self.rule(lane, truth, source) };
        Record {
            measured: (lane > 0).then(|| measure(truth, outputs, &rule)),
            expected: (!sample.expected.is_empty())
                .then(|| measure(&expected(sample), outputs, &held_to)),
            ..record
        }
    }

    /// Fails if the outputs contain no class scores, or a label is not one of the classes.
    pub(super) fn check(&self, truth: &[Output], sample: &Sample) -> Result<(), Failure> {
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
    pub(super) fn key(&self, shard: Shard) -> Result<String, Failure> {
        let AgreeRunArgs { repeat, timeout, .. } = self.args;
        let parts = [
            env!("CARGO_PKG_VERSION").to_owned(),
            self.model.digest().to_string(),
            self.inputs.digest()?.to_string(),
            format!("{:?}", self.lanes),
            format!("{:?} {:?} {repeat} {timeout} {shard}", self.task, self.user),
        ];
        Ok(Digest::of(parts.iter().map(String::as_bytes)).hex().to_owned())
    }

    pub(super) fn document(&self, lanes: Vec<AgreeLane>, shard: Shard) -> Result<Agree, Failure> {
        let mut lanes = lanes.into_iter();
        let shares = (shard != Shard::WHOLE).then(|| shard.to_string());
        Ok(Agree {
            schema: AGREE_SCHEMA.into(),
            made_by: env!("CARGO_PKG_VERSION").into(),
            model: ModelFacts {
                path: public(&self.model_path.display().to_string()),
                digest: self.model.digest().clone(),
                nodes: self.model.as_written().node_count(),
            },
            data: DataFacts {
                path: public(&self.data_path.display().to_string()),
                inputs: self.inputs.len(),
                labels: self.inputs.labels(),
                preparation: self.inputs.preparation(),
                digest: self.inputs.digest()?,
            },
            task: self.task,
            shares: shares.into_iter().collect::<BTreeSet<_>>(),
            interrupted: false,
            reference: lanes.next().ok_or_else(Failure::bug)?,
            targets: lanes.collect(),
        })
    }
}

/// Outputs are classes if the inputs have labels, or if the network ends in a Softmax.
pub(super) fn guess(model: &Model, labels: usize) -> Task {
    let ends = |output: &str| {
        let writes = |outputs: &[String]| outputs.iter().any(|name| name == output);
        let mut nodes = model.nodes();
        nodes.any(|node| matches!(node.op_type, "Softmax" | "LogSoftmax") && writes(node.outputs))
    };
    match labels > 0 || model.outputs().iter().any(|output| ends(output.as_str())) {
        true => Task::Classify,
        false => Task::Regress,
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

/// The outputs that the data set expects.
fn expected(sample: &Sample) -> Vec<Output> {
    let outputs = sample.expected.iter();
    outputs.map(|(name, tensor)| Output { name: name.clone(), tensor: tensor.clone() }).collect()
}
