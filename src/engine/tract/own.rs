//! Computes the reference's nodes with offby's own kernels.

use super::steps::{NodeSteps, Operands, Step};
use crate::bounds::{Arithmetic, Clamp, Excess, weigh};
use crate::kernels::{Call, compute, has_kernel};
use crate::tensor::{Dtype, Format, Rounding, Tensor, narrowed, round_tensor};

impl NodeSteps {
    /// A step's outputs in `f64` by offby's own kernel; `None` if offby has no kernel for its type.
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
        let on = |kept: Kept, arithmetic: &Arithmetic, near: Option<&[Tensor]>| {
            let constant = |name: &String| Some(kept.constant(self.constants.get(name)?));
            let value = |input: &Option<Tensor>| Some(kept.value(input.as_ref()?));
            let given = step.reads.iter().zip(inputs);
            let inputs: Vec<Option<Tensor>> =
                given.map(|(name, input)| value(input).or_else(|| constant(name))).collect();
            self.with_call(step, &inputs, |call| weigh(call, clamp, near, outputs, arithmetic))?
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
                return Some(Excess { operands: kept.format(), ..mixed });
            }
        }
        for (kept, arithmetic) in hypotheses(arithmetic) {
            // The results in `near` were computed from unrounded operands.
            let near = (kept == Kept::AsTheyAre).then_some(near);
            let mut found = on(kept, &arithmetic, near)?;
            found.operands = kept.format();
            if best.as_ref().is_none_or(|best| found.excess < best.excess) {
                best = Some(found);
            }
            if best.as_ref().is_some_and(|best| best.excess <= 1.0) {
                break;
            }
        }
        best
    }

    /// Computes a step with offby's own kernel, on its unchanged inputs including constants.
    fn own_kernel(
        &self,
        step: &Step,
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
        step: &Step,
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

/// How an engine may store a node's operands. Values that the engine stored are already in its format, so rounding
/// them again has no effect. The engine may store fed values in a different format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kept {
    AsTheyAre,
    RoundedConstants(Format, Rounding),
    Rounded(Format, Rounding),
}

impl Kept {
    fn value(self, tensor: &Tensor) -> Tensor {
        match self {
            Kept::AsTheyAre | Kept::RoundedConstants(..) => tensor.clone(),
            Kept::Rounded(format, rounding) => round_tensor(tensor, format, rounding),
        }
    }

    fn constant(self, tensor: &Tensor) -> Tensor {
        match self {
            Kept::AsTheyAre => tensor.clone(),
            Kept::RoundedConstants(format, rounding) | Kept::Rounded(format, rounding) => {
                round_tensor(tensor, format, rounding)
            }
        }
    }

    fn format(self) -> Option<Format> {
        match self {
            Kept::AsTheyAre => None,
            Kept::RoundedConstants(format, _) | Kept::Rounded(format, _) => Some(format),
        }
    }
}

/// The operators that tensor cores compute. Nothing else rounds its operands and keeps 32 bits.
const OF_TENSOR_CORES: [&str; 4] = ["Conv", "ConvTranspose", "Gemm", "MatMul"];

/// Operands in 16 bits, and sums and results in 32: what NVIDIA's tensor cores do.
fn mixed_precision() -> (Kept, Arithmetic) {
    (Kept::Rounded(Format::F16, Rounding::NearestEven), Arithmetic::storing(Format::F32))
}

/// Whether every element is a value of the format.
fn holds(format: Format, tensor: &Tensor) -> bool {
    match tensor {
        Tensor::F32(array) => array.iter().all(|&value| format.holds(value)),
        _ => true,
    }
}

/// Possible ways of storing operands, the most likely first. Each way is computed and named: one tolerance wide
/// enough for all of them would hide swapped channels.
fn hypotheses(arithmetic: &Arithmetic) -> Vec<(Kept, Arithmetic)> {
    let is_wide = arithmetic.format == Format::F32;
    let may = |rounding: Rounding| arithmetic.rounding.is_none_or(|declared| declared == rounding);
    let mut all = Vec::new();
    if is_wide {
        all.push((Kept::AsTheyAre, *arithmetic));
        // Engines may keep weights in 16 bits although they store values in 32.
        let weights = Kept::RoundedConstants(Format::F16, Rounding::NearestEven);
        all.extend(arithmetic.rounding.is_none().then_some((weights, *arithmetic)));
        return all;
    }
    for of in [Kept::Rounded, Kept::RoundedConstants] {
        for rounding in
            [Rounding::NearestEven, Rounding::TowardZero].into_iter().filter(|r| may(*r))
        {
            let one = Arithmetic { rounding: Some(rounding), ..*arithmetic };
            all.push((of(arithmetic.format, rounding), one));
        }
    }
    all.push((Kept::AsTheyAre, *arithmetic));
    all
}
