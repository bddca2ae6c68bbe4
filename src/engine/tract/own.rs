//! The reference's nodes by offby's own kernels.

use super::steps::{NodeSteps, Operands, Step};
use crate::kernels::{Call, compute, has_kernel};
use crate::tensor::{Dtype, Tensor, narrowed};

impl NodeSteps {
    /// A step's outputs in `f64` by offby's own kernel; `None` if there is none for its type.
    pub fn compute_own(
        &self,
        step: usize,
        inputs: &[Option<Tensor>],
    ) -> Option<Result<Vec<Tensor>, String>> {
        let step = &self.steps[step];
        let constant = |name: &String| self.constants.get(name).cloned();
        let given = step.reads.iter().zip(inputs);
        let inputs: Vec<Option<Tensor>> =
            given.map(|(name, input)| input.clone().or_else(|| constant(name))).collect();
        self.own_kernel(step, &inputs)
    }

    /// A step by offby's own kernel, on its inputs as they stand, constants among them.
    fn own_kernel(
        &self,
        Step { node, .. }: &Step,
        inputs: &[Option<Tensor>],
    ) -> Option<Result<Vec<Tensor>, String>> {
        let proto = self.model.node(*node);
        let attributes = self.model.attributes(*node);
        // Lists of texts are not read, and a kernel would take what is missing for the default.
        let is_whole = attributes.len() == self.model.attribute_count(*node);
        let is_standard = ["", "ai.onnx"].contains(&proto.domain);
        if !is_standard || !is_whole || !has_kernel(proto.op_type) {
            return None;
        }
        let inputs = &inputs[..proto.inputs.len().min(inputs.len())];
        let call = Call {
            op_type: proto.op_type,
            opset: self.model.opset(),
            attributes: &attributes,
            inputs,
            outputs: proto.outputs.len(),
        };
        let written = |computed: Vec<Tensor>| {
            let outputs = proto.outputs.iter().zip(computed);
            outputs.filter(|(name, _)| !name.is_empty()).map(|(_, tensor)| tensor).collect()
        };
        Some(compute(&call)?.map(written))
    }

    /// A step by offby's own kernel, in the element type of its operands.
    pub(super) fn run_own(&self, step: &Step, operands: &Operands<'_>) -> Option<Vec<Tensor>> {
        let given = |name: &String| {
            let mut all = operands.fed.iter().chain(&operands.kept);
            all.find(|(known, _)| known == name).map(|(_, tensor)| tensor.clone())
        };
        let inputs: Vec<Option<Tensor>> = step.reads.iter().map(given).collect();
        let float = inputs.iter().flatten().map(Tensor::dtype).find(|dtype| dtype.is_float());
        let dtype = float.unwrap_or(Dtype::F32);
        let outputs = self.own_kernel(step, &inputs)?.ok()?;
        Some(outputs.into_iter().map(|tensor| narrowed(tensor, dtype)).collect())
    }
}
