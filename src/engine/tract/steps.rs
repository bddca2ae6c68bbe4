//! tract node by node: every node can be computed on any inputs, and a stream keeps its own values.

use super::element::{from_tract, to_tract};
use super::{describe, load};
use crate::engine::Output;
use crate::graph::{Model, ValueName};
use crate::inputs::Feed;
use crate::tensor::Tensor;
use std::collections::BTreeMap;
use tract_onnx::prelude::*;
use tract_onnx::tract_core::ops::konst::Const;

/// A network whose nodes are computed one at a time.
#[derive(Debug)]
pub struct NodeSteps {
    model: TypedModel,
    /// Nodes that compute something, in the order of evaluation.
    order: Vec<usize>,
    constants: BTreeMap<OutletId, TValue>,
    values: BTreeMap<OutletId, Tensor>,
    /// The last step that needs a value; beyond all steps for the network's outputs.
    last_uses: BTreeMap<OutletId, usize>,
    outputs: Vec<ValueName>,
}

impl NodeSteps {
    /// A network that has been fed nothing yet.
    ///
    /// # Errors
    /// What tract refuses about the model.
    pub fn new(model: &Model) -> Result<Self, String> {
        let typed = load(model, false).map_err(|error| describe(&error))?;
        let mut constants = BTreeMap::new();
        let mut order = Vec::new();
        for node in typed.eval_order().map_err(|error| describe(&error))? {
            if let Some(konst) = typed.node(node).op_as::<Const>() {
                constants.insert(OutletId::new(node, 0), konst.val().clone().into_tvalue());
            } else if !typed.node(node).inputs.is_empty() {
                order.push(node);
            }
        }
        let inputs =
            |step: usize| typed.node(order[step]).inputs.iter().map(move |&use_| (use_, step));
        let ends = typed.outputs.iter().map(|&outlet| (outlet, usize::MAX));
        // Later uses come later and replace earlier ones.
        let last_uses = (0..order.len()).flat_map(inputs).chain(ends).collect();
        let outputs = model.outputs().to_vec();
        Ok(NodeSteps {
            model: typed,
            order,
            constants,
            values: BTreeMap::new(),
            last_uses,
            outputs,
        })
    }

    /// The step after which a value has its ONNX name; `None` where no node computes it.
    pub fn step_of(&self, value: &str) -> Option<usize> {
        let outlet = self.model.find_outlet_label(value)?;
        self.order.iter().position(|&node| node == outlet.node)
    }

    /// The first output of a step, if it is still kept.
    pub fn output(&self, step: usize) -> Option<&Tensor> {
        self.values.get(&OutletId::new(*self.order.get(step)?, 0))
    }

    /// The step that uses a step's first output, where it is the only one.
    pub fn only_consumer(&self, step: usize) -> Option<usize> {
        let outlet = OutletId::new(*self.order.get(step)?, 0);
        let uses = |&node: &usize| self.model.node(node).inputs.contains(&outlet);
        let mut consumers = (step + 1..self.order.len()).filter(|&at| uses(&self.order[at]));
        let only = consumers.next()?;
        consumers.next().is_none().then_some(only)
    }

    /// Computes one step of the stream and drops the values that no later step and no output needs.
    ///
    /// # Errors
    /// What tract refuses.
    pub fn advance(&mut self, step: usize) -> Result<(), String> {
        let inputs = self.inputs(step)?;
        let outputs = self.compute(step, &inputs, &Tensor::clone)?;
        self.store(step, &outputs);
        let last_uses = &self.last_uses;
        let current = self.order[step];
        self.values.retain(|outlet, _| {
            outlet.node == current || last_uses.get(outlet).is_some_and(|&last| last > step)
        });
        Ok(())
    }

    /// How many nodes compute something.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether no node computes anything.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// Name and type of a node, by its place in the order of evaluation.
    pub fn node(&self, step: usize) -> (String, String) {
        let node = self.model.node(self.order[step]);
        (node.name.clone(), node.op.name().into_owned())
    }

    /// Forgets all values and takes the feeds.
    ///
    /// # Errors
    /// Which input is not fed.
    pub fn start(&mut self, feeds: &[Feed]) -> Result<(), String> {
        self.values.clear();
        for &outlet in self.model.input_outlets().map_err(|error| describe(&error))? {
            let name = &self.model.node(outlet.node).name;
            let feed = feeds.iter().find(|feed| feed.name.as_str() == name);
            let feed = feed.ok_or_else(|| format!("there is no feed for input {name}"))?;
            self.values.insert(outlet, feed.tensor.clone());
        }
        Ok(())
    }

    /// The stream's inputs of a node; `None` stands for a constant.
    ///
    /// # Errors
    /// Which value has not been computed.
    pub fn inputs(&self, step: usize) -> Result<Vec<Option<Tensor>>, String> {
        let node = self.model.node(self.order[step]);
        let value = |outlet: &OutletId| match self.constants.contains_key(outlet) {
            true => Ok(None),
            false => self
                .values
                .get(outlet)
                .cloned()
                .map(Some)
                .ok_or_else(|| format!("{} came before its inputs", node.name)),
        };
        node.inputs.iter().map(value).collect()
    }

    /// A node's outputs on any inputs; `None` stands for the network's constant, which `change`
    /// may alter.
    ///
    /// # Errors
    /// What tract refuses.
    pub fn compute(
        &self,
        step: usize,
        inputs: &[Option<Tensor>],
        change: &dyn Fn(&Tensor) -> Tensor,
    ) -> Result<Vec<Tensor>, String> {
        let node = self.model.node(self.order[step]);
        let mut values = tvec![];
        for (outlet, input) in node.inputs.iter().zip(inputs) {
            values.push(
                self.operand(outlet, input.as_ref(), change).map_err(|error| describe(&error))?,
            );
        }
        let outputs = node.op.eval_out_of_plan(values).map_err(|error| describe(&error))?;
        let outputs =
            outputs.ok_or_else(|| format!("{} cannot be computed by itself", node.name))?;
        let name = ValueName::from(node.name.as_str());
        outputs
            .iter()
            .map(|value| from_tract(&name, value).map_err(|error| describe(&error)))
            .collect()
    }

    fn operand(
        &self,
        outlet: &OutletId,
        input: Option<&Tensor>,
        change: &dyn Fn(&Tensor) -> Tensor,
    ) -> TractResult<TValue> {
        if let Some(tensor) = input {
            return Ok(to_tract(tensor)?.into_tvalue());
        }
        let constant =
            self.constants.get(outlet).ok_or_else(|| TractError::msg("an input is missing"))?;
        if constant.datum_type() != f32::datum_type() {
            return Ok(constant.clone());
        }
        let ours = from_tract(&ValueName::from("constant"), constant)?;
        Ok(to_tract(&change(&ours))?.into_tvalue())
    }

    /// Keeps a node's outputs as the stream's own.
    pub fn store(&mut self, step: usize, outputs: &[Tensor]) {
        for (slot, tensor) in outputs.iter().enumerate() {
            self.values.insert(OutletId::new(self.order[step], slot), tensor.clone());
        }
    }

    /// The network's outputs, once all nodes are stored.
    ///
    /// # Errors
    /// Which output is missing.
    pub fn outputs(&self) -> Result<Vec<Output>, String> {
        let outlets = self.model.output_outlets().map_err(|error| describe(&error))?;
        let output = |(outlet, name): (&OutletId, &ValueName)| {
            let tensor = self.values.get(outlet).cloned();
            tensor
                .map(|tensor| Output { name: name.clone(), tensor })
                .ok_or_else(|| format!("output {name} was not computed"))
        };
        outlets.iter().zip(&self.outputs).map(output).collect()
    }
}
