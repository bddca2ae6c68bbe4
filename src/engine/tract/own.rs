//! Computes the reference's nodes with offby's own kernels.

use super::kept::{OF_TENSOR_CORES, OperandStorage, holds, hypotheses, mixed_precision};
use super::operands::Operands;
use super::steps::{NodeStep, NodeSteps};
use crate::bounds::{Activations, Arithmetic, Clamp, Excess, Products, weigh};
use crate::graph::Attribute;
use crate::kernels::{Call, compute, has_kernel};
use crate::tensor::{Dtype, Format, Tensor, narrowed};
use std::borrow::Cow;
use std::collections::BTreeSet;

/// The operators that multiply rows of the first input by the second input.
const OF_ROWS: [&str; 2] = ["Gemm", "MatMul"];

impl NodeSteps {
    /// A step's outputs in `f64` by offby's own kernel; `None` if offby has no kernel for its type.
    pub fn compute_own(
        &self,
        step: usize,
        inputs: &[Option<Tensor>],
    ) -> Option<Result<Vec<Tensor>, String>> {
        let step = &self.steps[step];
        let constant = |name: &String| self.constant(name).map(Cow::into_owned);
        let given = step.reads.iter().zip(inputs);
        let inputs: Vec<Option<Tensor>> =
            given.map(|(name, input)| input.clone().or_else(|| constant(name))).collect();
        self.own_kernel(step, &inputs)
    }

    /// The part of a step's result that ONNX leaves open on these inputs, if there is one.
    pub fn left_open(&self, step: usize, inputs: &[Option<Tensor>]) -> Option<&'static str> {
        crate::kernels::left_open(&self.node(step).1, inputs)
    }

    /// Compares a candidate's outputs on these inputs with the bounds of its arithmetic; `None` if offby has no
    /// kernel for the node. `near` contains results of a correct implementation in `f32`.
    pub fn weigh(
        &self,
        step: usize,
        inputs: &[Option<Tensor>],
        near: &[Tensor],
        outputs: &[&Tensor],
        arithmetic: &Arithmetic,
    ) -> Option<Excess> {
        self.weigh_fused((step, Clamp::NONE), inputs, near, outputs, arithmetic)
    }

    /// The same for a step with an activation that the candidate fused into it.
    pub fn weigh_fused(
        &self,
        (step, clamp): (usize, Clamp),
        inputs: &[Option<Tensor>],
        near: &[Tensor],
        outputs: &[&Tensor],
        arithmetic: &Arithmetic,
    ) -> Option<Excess> {
        let step = &self.steps[step];
        let on = |kept: OperandStorage, arithmetic: &Arithmetic, near: Option<&[Tensor]>| {
            let constant = |name: &String| Some(kept.constant(&*self.constant(name)?));
            let value =
                |(place, input): (usize, &Option<Tensor>)| Some(kept.value(place, input.as_ref()?));
            let given = step.reads.iter().zip(inputs.iter().enumerate());
            let inputs: Vec<Option<Tensor>> =
                given.map(|(name, input)| value(input).or_else(|| constant(name))).collect();
            let found = self
                .with_call(step, &inputs, |call| weigh(call, clamp, near, outputs, arithmetic))?;
            Some(kept.noted(found?))
        };
        let mut best: Option<Excess> = None;
        // A device may store less than it declares, but not more.
        let is_wider = outputs.iter().any(|output| !holds(arithmetic.format, output));
        let op_type = self.model.node(step.node).op_type;
        if is_wider && arithmetic.format == Format::F16 && OF_TENSOR_CORES.contains(&op_type) {
            let (kept, arithmetic) = mixed_precision();
            let mixed = on(kept, &arithmetic, None)?;
            // It is far more exact than what the device declares, so it must fit.
            if mixed.excess <= 1.0 && mixed.overflown == 0 {
                return Some(mixed);
            }
        }
        let row = inputs.first().and_then(|input| input.as_ref()?.shape().last().copied());
        let row = row.filter(|_| self.may_quantize(step));
        let ways = row.into_iter().flat_map(Activations::ways);
        let quantized = ways.map(|way| (OperandStorage::Quantized(way), *arithmetic));
        let is_open = arithmetic.rounding.is_none();
        let hypotheses = hypotheses(arithmetic);
        for (kept, arithmetic) in hypotheses.into_iter().chain(quantized.filter(|_| is_open)) {
            // The results in `near` were computed from unrounded operands.
            let near = (kept == OperandStorage::AsTheyAre).then_some(near);
            let found = on(kept, &arithmetic, near)?;
            if best.as_ref().is_none_or(|best| found.excess < best.excess) {
                best = Some(found);
            }
            if best.as_ref().is_some_and(|best| best.excess <= 1.0) {
                break;
            }
        }
        best
    }

    /// The inputs of a step, with its activations quantized if engines may do that.
    pub fn quantized(
        &self,
        step: usize,
        mut inputs: Vec<Option<Tensor>>,
        (way, products): (Activations, Products),
    ) -> Vec<Option<Tensor>> {
        let writes_output = |name: &String| {
            self.readers.get(name).is_some_and(|readers| readers.contains(&usize::MAX))
        };
        let is_meant = match products {
            Products::All => true,
            Products::WritingOutputs => self.steps[step].writes.iter().any(writes_output),
        };
        if is_meant
            && self.may_quantize(&self.steps[step])
            && let Some(Some(activations)) = inputs.first_mut()
        {
            *activations = way.quantize(activations);
        }
        inputs
    }

    /// The ways in which engines may quantize activations of the network; none if no weights are integers.
    pub fn ways(&self) -> impl Iterator<Item = (Activations, Products)> + use<> {
        let any = self.steps.iter().any(|step| self.may_quantize(step));
        let ways = any.then(|| Activations::ways(usize::MAX)).into_iter().flatten();
        ways.flat_map(|way| Products::ALL.map(|products| (way, products)))
    }

    /// The labels of the nodes whose activations engines may quantize.
    pub fn quantizable(&self) -> BTreeSet<String> {
        let steps = (0..self.steps.len()).filter(|&step| self.may_quantize(&self.steps[step]));
        steps.map(|step| self.node(step).0).collect()
    }

    /// Whether engines may quantize a step's activations while they run: a product by weights that are integers.
    fn may_quantize(&self, step: &NodeStep) -> bool {
        let node = self.model.node(step.node);
        let is_straight = || match self.model.attributes(step.node).get("transA") {
            Some(Attribute::Int(turned)) => *turned == 0,
            _ => true,
        };
        OF_ROWS.contains(&node.op_type)
            && step.reads.get(1).is_some_and(|weights| self.is_of_integers(weights))
            && is_straight()
    }

    /// Computes a step with offby's own kernel, on its unchanged inputs including constants.
    fn own_kernel(
        &self,
        step: &NodeStep,
        inputs: &[Option<Tensor>],
    ) -> Option<Result<Vec<Tensor>, String>> {
        let names = self.model.node(step.node).outputs;
        let written = |computed: Vec<Tensor>| {
            let outputs = names.iter().zip(computed);
            outputs.filter(|(name, _)| !name.is_empty()).map(|(_, tensor)| tensor).collect()
        };
        Some(self.with_call(step, inputs, compute)??.map(written))
    }

    /// Calls a function with a step in the kernels' form; `None` if offby's kernels do not know the step.
    fn with_call<T>(
        &self,
        step: &NodeStep,
        inputs: &[Option<Tensor>],
        of: impl FnOnce(&Call<'_>) -> T,
    ) -> Option<T> {
        let proto = self.model.node(step.node);
        let attributes = self.model.attributes(step.node);
        // Lists of texts are not read, and a kernel would use the default for a missing attribute.
        let is_whole = attributes.len() == self.model.attribute_count(step.node);
        let is_standard = ["", "ai.onnx"].contains(&proto.domain);
        if !is_standard || !is_whole || !has_kernel(proto.op_type) {
            return None;
        }
        let inputs = &inputs[..proto.inputs.len().min(inputs.len())];
        Some(of(&Call {
            op_type: proto.op_type,
            opset: self.model.opset(),
            attributes: &attributes,
            inputs,
            outputs: proto.outputs.len(),
        }))
    }

    /// Computes a step with offby's own kernel, in the element type of its operands.
    pub(super) fn run_own(&self, step: &NodeStep, operands: &Operands<'_>) -> Option<Vec<Tensor>> {
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
