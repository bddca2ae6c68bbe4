//! The network of one node alone.

use super::operands::Operands;
use super::steps::{NodeStep, NodeSteps};
use crate::graph::{Model, Solo};
use crate::tensor::Tensor;

/// Operators whose inputs after the first are shapes, axes or bounds: engines require these as constants.
const SHAPED: &[&str] = &[
    "Expand",
    "Pad",
    "ReduceMax",
    "ReduceMean",
    "ReduceMin",
    "ReduceProd",
    "ReduceSum",
    "Reshape",
    "Resize",
    "Slice",
    "Split",
    "Squeeze",
    "Tile",
    "TopK",
    "Unsqueeze",
];

impl NodeSteps {
    /// The operands of a step: the values given, and the network's constants.
    pub(super) fn operands<'n>(
        &self,
        step: &'n NodeStep,
        inputs: &[Option<Tensor>],
        change: &dyn Fn(&Tensor) -> Tensor,
    ) -> Result<Operands<'n>, String> {
        let some_float = inputs.iter().flatten().any(|tensor| tensor.dtype().is_float());
        let takes_shape = SHAPED.contains(&self.model.node(step.node).op_type);
        let mut operands = Operands::default();
        for (name, input) in step.reads.iter().zip(inputs) {
            if name.is_empty() || !operands.names.insert(name) {
                continue;
            }
            match input {
                // If all inputs are integers, only the operator's shape, axes or bounds stay constants.
                Some(tensor)
                    if tensor.dtype().is_float()
                        || (!some_float && (operands.fed.is_empty() || !takes_shape)) =>
                {
                    operands.fed.push((name, tensor.clone()));
                }
                Some(tensor) => operands.kept.push((name, tensor.clone())),
                None => {
                    let constant = self.constant(name);
                    let constant =
                        constant.ok_or_else(|| format!("the value {name} is not known"))?;
                    operands.kept.push((name, change(&constant)));
                }
            }
        }
        Ok(operands)
    }

    /// The network of a step's node alone.
    pub(super) fn solo(
        &self,
        step: &NodeStep,
        operands: &Operands<'_>,
        outputs: &[(&str, &Tensor)],
    ) -> Result<Model, String> {
        let fed: Vec<(&str, &Tensor)> = operands.fed.iter().map(|(n, t)| (*n, t)).collect();
        let kept: Vec<(&str, &Tensor)> = operands.kept.iter().map(|(n, t)| (*n, t)).collect();
        let solo = Solo { node: step.node, inputs: &fed, constants: &kept, outputs };
        self.model.solo(&solo).map_err(|error| error.to_string())
    }
}
