//! The reference node by node: every ONNX node can be computed on any inputs, and a stream keeps
//! its own values.
//!
//! tract gets each node as a separate model with the current inputs. So names and op types are
//! ONNX's, and a computed shape is already a constant. If the caller names a second engine, that
//! engine computes the nodes that tract refuses.

use super::constants::Constants;
use super::element::from_tract;
use super::operands::Operands;
use super::{Tract, describe, load};
use crate::engine::Output;
use crate::engine::panics::{panic_text, quietly};
use crate::graph::{Attribute, Model, ValueName, widened};
use crate::inputs::Feed;
use crate::tensor::Tensor;
use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use tract_onnx::prelude::*;

/// Computes the network of one node on a second engine.
pub type ComputeNode = dyn FnMut(&Model, &[Feed]) -> Result<Vec<Output>, String>;

/// A second engine that computes single nodes.
#[derive(Clone)]
pub struct Second {
    /// Computes the network of one node.
    pub compute: Rc<RefCell<ComputeNode>>,
    /// Whether the engine computes every node. Otherwise it computes only the nodes that tract refuses.
    pub first: bool,
}

/// A network whose nodes are computed one at a time.
pub struct NodeSteps {
    pub(super) model: Arc<Model>,
    second: Option<Second>,
    pub(super) steps: Vec<NodeStep>,
    /// Initializers, and values that depend only on initializers.
    constants: Arc<Constants>,
    values: BTreeMap<String, Tensor>,
    /// The step that writes a value.
    writers: BTreeMap<String, usize>,
    /// The steps that read a value, in order; `usize::MAX` means the network's outputs.
    pub(super) readers: BTreeMap<String, Vec<usize>>,
}

/// One ONNX node.
#[derive(Debug, Clone)]
pub(super) struct NodeStep {
    pub(super) node: usize,
    /// The node's inputs, with an empty name for an omitted input; then captured values.
    pub(super) reads: Vec<String>,
    /// The node's outputs, except omitted outputs.
    pub(super) writes: Vec<String>,
}

/// A network on its way to a different thread, without a second engine.
pub(super) struct StepsTwin {
    model: Arc<Model>,
    steps: Vec<NodeStep>,
    constants: Arc<Constants>,
    writers: BTreeMap<String, usize>,
    readers: BTreeMap<String, Vec<usize>>,
}

impl StepsTwin {
    /// The network, without values.
    pub(super) fn into_steps(self) -> NodeSteps {
        let StepsTwin { model, steps, constants, writers, readers } = self;
        NodeSteps {
            model,
            second: None,
            steps,
            constants,
            values: BTreeMap::new(),
            writers,
            readers,
        }
    }
}

impl fmt::Debug for NodeSteps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeSteps").field("steps", &self.steps).finish_non_exhaustive()
    }
}

impl NodeSteps {
    /// A network without feeds. Values that depend only on constants are computed here.
    ///
    /// # Errors
    /// Fails if tract refuses a node that depends only on constants.
    pub fn new(model: &Model) -> Result<Self, String> {
        NodeSteps::with_second(model, None)
    }

    /// The same, with a second engine for the nodes that tract refuses.
    ///
    /// # Errors
    /// Fails if both engines refuse a node that depends only on constants.
    pub fn with_second(model: &Model, second: Option<Second>) -> Result<Self, String> {
        let model = &*super::wide(model, Tract::default()).map_err(|error| describe(&error))?;
        let mut steps = NodeSteps {
            model: Arc::new(model.clone()),
            second,
            steps: Vec::new(),
            constants: Arc::new(Constants::of(model)),
            values: BTreeMap::new(),
            writers: BTreeMap::new(),
            readers: BTreeMap::new(),
        };
        // An initializer that is also an input is a default value, and offby feeds no defaults.
        for node in model.evaluation_order() {
            steps.add(node)?;
        }
        for output in model.outputs() {
            steps.readers.entry(output.to_string()).or_default().push(usize::MAX);
        }
        Ok(steps)
    }

    fn add(&mut self, node: usize) -> Result<(), String> {
        let reads = self.model.reads(node);
        let writes = self.model.node(node).outputs.iter();
        let writes = writes.filter(|name| !name.is_empty()).cloned().collect();
        let step = NodeStep { node, reads, writes };
        if step.reads.iter().all(|name| name.is_empty() || self.constants.contains(name)) {
            let inputs = vec![None; step.reads.len()];
            let outputs = self.evaluate(&step, &inputs, &Tensor::clone)?;
            Arc::make_mut(&mut self.constants).compute(&step.reads, &step.writes, outputs);
            return Ok(());
        }
        let number = self.steps.len();
        let read: BTreeSet<&String> = step.reads.iter().collect();
        for name in read {
            self.readers.entry(name.clone()).or_default().push(number);
        }
        self.writers.extend(step.writes.iter().map(|name| (name.clone(), number)));
        self.steps.push(step);
        Ok(())
    }

    /// The same network for a stream on a different thread. Both share the network and its constants.
    pub(super) fn twin(&self) -> StepsTwin {
        StepsTwin {
            model: self.model.clone(),
            steps: self.steps.clone(),
            constants: self.constants.clone(),
            writers: self.writers.clone(),
            readers: self.readers.clone(),
        }
    }

    /// Whether a value is needed after a step: a later step or an output reads it, or the step itself wrote it.
    pub fn is_needed_after(&self, name: &str, step: usize) -> bool {
        self.writers.get(name) == Some(&step)
            || self.readers.get(name).and_then(|steps| steps.last()).is_some_and(|&at| at > step)
    }

    /// The number of nodes that compute values.
    pub fn len(&self) -> usize {
        self.steps.len()
    }

    /// Whether no node computes values.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// A step's position among the model's nodes.
    pub fn place(&self, step: usize) -> usize {
        self.steps[step].node
    }

    /// Label and ONNX op type of a step's node.
    pub fn node(&self, step: usize) -> (String, String) {
        let node = self.model.node(self.steps[step].node);
        (node.label().to_owned(), node.op_type.to_owned())
    }

    /// A step's attributes by name, and the opset version.
    pub fn attributes(&self, step: usize) -> (BTreeMap<String, Attribute>, i64) {
        (self.model.attributes(self.steps[step].node), self.model.opset())
    }

    /// The names of the values a step reads: its node's inputs, then the values its subgraphs capture.
    pub fn reads(&self, step: usize) -> &[String] {
        &self.steps[step].reads
    }

    /// The values a step writes.
    pub fn writes(&self, step: usize) -> &[String] {
        &self.steps[step].writes
    }

    /// A value that depends on no input.
    pub fn constant(&self, value: &str) -> Option<Cow<'_, Tensor>> {
        self.constants.get(value, &self.model)
    }

    /// Whether a value depends on no input.
    pub fn is_constant(&self, value: &str) -> bool {
        self.constants.contains(value)
    }

    /// Whether a value is a constant of 8-bit integers, or computed from such constants.
    pub(super) fn is_of_integers(&self, value: &str) -> bool {
        self.constants.is_of_integers(value)
    }

    /// The step that writes a value; `None` if no step writes it.
    pub fn step_of(&self, value: &str) -> Option<usize> {
        self.writers.get(value).copied()
    }

    /// The first output of a step, if it is still kept.
    pub fn output(&self, step: usize) -> Option<&Tensor> {
        self.value(self.steps.get(step)?.writes.first()?)
    }

    /// All values of the stream that are still kept.
    pub fn values(&self) -> &BTreeMap<String, Tensor> {
        &self.values
    }

    /// Resets the stream to an earlier state with these values.
    pub fn resume(&mut self, values: BTreeMap<String, Tensor>) {
        self.values = values;
    }

    /// A value of the stream, if it is still kept.
    pub fn value(&self, name: &str) -> Option<&Tensor> {
        self.values.get(name)
    }

    /// The step that reads a step's first output, if there is exactly one reader.
    pub fn only_consumer(&self, step: usize) -> Option<usize> {
        match self.readers.get(self.steps.get(step)?.writes.first()?)?.as_slice() {
            [only] if *only != usize::MAX => Some(*only),
            _ => None,
        }
    }

    /// Forgets all values and takes the feeds.
    ///
    /// # Errors
    /// Fails if an input has no feed.
    pub fn start(&mut self, feeds: &[Feed]) -> Result<(), String> {
        self.values.clear();
        for input in self.model.inputs() {
            let feed = feeds.iter().find(|feed| feed.name == input.name);
            let feed = feed.ok_or_else(|| format!("there is no feed for input {}", input.name))?;
            self.values.insert(input.name.to_string(), widened(&feed.tensor));
        }
        Ok(())
    }

    /// Computes one step of the stream, and passes constants and outputs through `change`. Drops the
    /// values that no later step and no output needs.
    ///
    /// # Errors
    /// Fails if tract refuses the node.
    pub fn advance(
        &mut self,
        step: usize,
        change: &dyn Fn(&Tensor) -> Tensor,
    ) -> Result<(), String> {
        let inputs = self.inputs(step)?;
        // The stream's own copies would only use memory while the step runs.
        let spent = self.take_spent(step);
        let outputs = match self.compute(step, &inputs, change) {
            Ok(outputs) => outputs,
            Err(reason) => {
                for (name, input) in self.steps[step].reads.iter().zip(inputs) {
                    if let (true, Some(input)) = (spent.contains(name), input) {
                        self.values.insert(name.clone(), input);
                    }
                }
                return Err(reason);
            }
        };
        drop(inputs);
        let outputs: Vec<Tensor> = outputs.iter().map(change).collect();
        self.store(step, &outputs);
        self.forget(step);
        Ok(())
    }

    /// Drops the inputs of a step that no later step and no output reads, and returns their names.
    fn take_spent(&mut self, step: usize) -> BTreeSet<String> {
        let is_last = |name: &&String| {
            self.readers.get(*name).is_some_and(|steps| steps.last() == Some(&step))
        };
        let spent: BTreeSet<String> =
            self.steps[step].reads.iter().filter(is_last).cloned().collect();
        self.values.retain(|name, _| !spent.contains(name));
        spent
    }

    /// Drops the values that no step after this one reads, except this step's own outputs.
    pub fn forget(&mut self, step: usize) {
        let mut values = std::mem::take(&mut self.values);
        values.retain(|name, _| self.is_needed_after(name, step));
        self.values = values;
    }

    /// The stream's inputs of a step, in the order of [`NodeSteps::reads`]; `None` means a constant
    /// or an omitted input.
    ///
    /// # Errors
    /// Fails if a value has not been computed.
    pub fn inputs(&self, step: usize) -> Result<Vec<Option<Tensor>>, String> {
        let value = |name: &String| match self.values.get(name) {
            Some(tensor) => Ok(Some(tensor.clone())),
            None if name.is_empty() || self.constants.contains(name) => Ok(None),
            None => Err(format!("{} came before its input {name}", self.node(step).0)),
        };
        self.steps[step].reads.iter().map(value).collect()
    }

    /// A step's outputs on any inputs; `None` means the network's constant, which `change` may alter.
    ///
    /// # Errors
    /// Fails if tract refuses the node.
    pub fn compute(
        &self,
        step: usize,
        inputs: &[Option<Tensor>],
        change: &dyn Fn(&Tensor) -> Tensor,
    ) -> Result<Vec<Tensor>, String> {
        self.evaluate(&self.steps[step], inputs, change)
    }

    /// The model of a step's node alone, and its feeds. Integer inputs become constants, because they
    /// are shapes, axes and indices; the feeds are the other inputs.
    ///
    /// # Errors
    /// Fails if the node writes no output, or if an input is not known.
    pub fn alone(
        &self,
        step: usize,
        inputs: &[Option<Tensor>],
        outputs: &[Tensor],
    ) -> Result<(Model, Vec<Feed>), String> {
        let step = &self.steps[step];
        let operands = self.operands(step, inputs, &Tensor::clone)?;
        let outputs: Vec<(&str, &Tensor)> =
            step.writes.iter().map(String::as_str).zip(outputs).collect();
        let model = self.solo(step, &operands, &outputs)?;
        Ok((model, operands.fed.iter().map(|(name, tensor)| fed(name, tensor)).collect()))
    }

    /// Keeps a step's outputs as the stream's own.
    pub fn store(&mut self, step: usize, outputs: &[Tensor]) {
        let writes = self.steps[step].writes.iter().cloned();
        self.values.extend(writes.zip(outputs.iter().cloned()));
    }

    /// The names of the values that nodes compute of initializers alone. An engine may fold them.
    pub fn folded(&self) -> BTreeSet<String> {
        let written = self.model.nodes().flat_map(|node| node.outputs.iter());
        written.filter(|name| self.constants.contains(name)).cloned().collect()
    }

    /// Replaces a constant, for the steps that are computed from now on.
    pub fn replace_constant(&mut self, name: &str, tensor: Tensor) {
        Arc::make_mut(&mut self.constants).replace(name, tensor);
    }

    /// The network's outputs, once all steps are stored.
    ///
    /// # Errors
    /// Fails if an output is missing.
    pub fn outputs(&self) -> Result<Vec<Output>, String> {
        let output = |name: &ValueName| {
            let value = self.values.get(name.as_str()).map(Cow::Borrowed);
            value
                .or_else(|| self.constant(name.as_str()))
                .map(|tensor| Output { name: name.clone(), tensor: tensor.into_owned() })
                .ok_or_else(|| format!("output {name} was not computed"))
        };
        self.model.outputs().iter().map(output).collect()
    }

    /// A step's outputs from tract in one of its modes, on any inputs.
    ///
    /// # Errors
    /// Fails if tract refuses the node.
    pub fn compute_as(
        &self,
        step: usize,
        inputs: &[Option<Tensor>],
        engine: Tract,
    ) -> Result<Vec<Tensor>, String> {
        let step = &self.steps[step];
        let operands = self.operands(step, inputs, &Tensor::clone)?;
        caught(|| self.run(step, &operands, engine))
    }

    /// A step's outputs from the second engine, if there is one, whichever engine comes first.
    ///
    /// # Errors
    /// If the engine refuses the node.
    pub fn compute_on_second(
        &self,
        step: usize,
        inputs: &[Option<Tensor>],
    ) -> Result<Vec<Tensor>, String> {
        let Some(second) = &self.second else { return self.compute(step, inputs, &Tensor::clone) };
        let step = &self.steps[step];
        let operands = self.operands(step, inputs, &Tensor::clone)?;
        self.run_second(step, &operands, &mut *second.compute.borrow_mut())
    }

    fn evaluate(
        &self,
        step: &NodeStep,
        inputs: &[Option<Tensor>],
        change: &dyn Fn(&Tensor) -> Tensor,
    ) -> Result<Vec<Tensor>, String> {
        let operands = self.operands(step, inputs, change)?;
        let tract = || {
            let computed = caught(|| self.run(step, &operands, Tract::default()));
            // offby's own kernel may know a node that tract refuses.
            computed.or_else(|refused| self.run_own(step, &operands).ok_or(refused))
        };
        let Some(second) = &self.second else { return tract() };
        let other = || self.run_second(step, &operands, &mut *second.compute.borrow_mut());
        if second.first {
            return other();
        }
        tract().or_else(|refused| other().map_err(|reason| format!("{refused}; {reason}")))
    }

    /// Computes a step on the second engine.
    fn run_second(
        &self,
        step: &NodeStep,
        operands: &Operands<'_>,
        second: &mut ComputeNode,
    ) -> Result<Vec<Tensor>, String> {
        let model = self.solo(step, operands, &[])?;
        let feeds: Vec<Feed> =
            operands.fed.iter().map(|(name, tensor)| fed(name, tensor)).collect();
        let outputs = second(&model, &feeds)?;
        let output = |name: &String| {
            let found = outputs.iter().find(|output| output.name.as_str() == name);
            found.map(|output| output.tensor.clone()).ok_or_else(|| format!("{name} did not come"))
        };
        step.writes.iter().map(output).collect()
    }

    fn run(
        &self,
        step: &NodeStep,
        operands: &Operands<'_>,
        engine: Tract,
    ) -> Result<Vec<Tensor>, String> {
        let refused = |error| describe(&error);
        let model = self.solo(step, operands, &[])?;
        let plan = load(&model, engine).and_then(|typed| typed.into_runnable()).map_err(refused)?;
        let mut values = tvec![];
        for outlet in plan.model().input_outlets().map_err(refused)? {
            let name = &plan.model().node(outlet.node).name;
            let fed = operands.fed.iter().find(|(fed, _)| fed == name);
            let (_, tensor) = fed.ok_or_else(|| format!("there is no feed for {name}"))?;
            values.push(engine.as_tract(tensor).map_err(refused)?.into_tvalue());
        }
        let outputs = engine.evaluate(&plan, values).map_err(refused)?;
        let named = step.writes.iter().zip(outputs.iter());
        named
            .map(|(name, value)| {
                from_tract(&ValueName::from(name.as_str()), value).map_err(refused)
            })
            .collect()
    }
}

/// A value of the reference as a feed.
pub(super) fn fed(name: &str, tensor: &Tensor) -> Feed {
    Feed::new(name, "reference", tensor.clone())
}

/// Treats a panic of tract as a refusal, because some nodes make tract panic.
fn caught(run: impl FnOnce() -> Result<Vec<Tensor>, String>) -> Result<Vec<Tensor>, String> {
    quietly(run).unwrap_or_else(|panic| Err(panic_text(panic.as_ref())))
}
