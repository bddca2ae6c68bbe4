//! Replaces operators that tract computes wrongly with offby's own kernels.
//!
//! The table names each operator and the fault of tract's kernel. The operator keeps tract's shape
//! rules; only its arithmetic is offby's. `tract:plain` is tract without this table.

use super::element::{from_tract, to_tract};
use crate::graph::{Attribute, ValueName, attributes_of};
use crate::kernels::{Call, compute, is_elementwise};
use crate::tensor::{Dtype, Tensor, narrowed};
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use tract_onnx::Onnx;
use tract_onnx::model::ParsingContext;
use tract_onnx::pb::NodeProto;
use tract_onnx::prelude::*;
use tract_onnx::tract_hir::internal::*;

/// The replaced ONNX operators, each with the reason: a fault of tract 0.23.9.
/// Each fault was seen in `just referee-sweep` (`reports/referee-sweep.md`).
// a flat table
pub(super) const REPLACED: &[(&str, &str)] = &[
    ("Attention", "a boolean mask is added as 0 and 1, and a row without keys is not 0"),
    ("Celu", "alpha divides the result, too"),
    ("CumSum", "long sums in f16 and bf16 are rounded at each step"),
    ("Elu", "small values are lost: e^x - 1 is taken literally"),
    ("Erf", "values below 1e-6 become 0"),
    ("Gelu", "the tail below -5 is lost, and infinities become NaN"),
    ("GlobalAveragePool", "long sums are taken one by one"),
    ("GRU", "the reverse direction is wrong, and NaN is dropped"),
    ("HardSigmoid", "NaN becomes 0"),
    ("InstanceNormalization", "long sums are taken one by one"),
    ("LayerNormalization", "long sums are taken one by one, and a large mean costs all digits"),
    ("LSTM", "the reverse direction is wrong, and NaN is dropped"),
    ("MeanVarianceNormalization", "a constant input gives NaN"),
    ("Mish", "the tail is lost"),
    ("RNN", "the reverse direction is wrong, and NaN is dropped"),
    ("ReduceL1", "long sums are taken one by one"),
    ("ReduceL2", "long sums are taken one by one"),
    ("ReduceLogSum", "long sums are taken one by one"),
    ("ReduceMean", "long sums are taken one by one"),
    ("ReduceSum", "long sums are taken one by one"),
    ("ReduceSumSquare", "long sums are taken one by one"),
    ("Resize", "linear with align_corners is wrong, and NaN spreads"),
    ("Selu", "small values are lost: e^x - 1 is taken literally"),
    ("SpaceToDepth", "the mode CRD is ignored"),
    ("Softplus", "it overflows from 88.7 on, and the tail is lost"),
    ("Swish", "its sigmoid ends at 4.5e-7, and NaN is dropped"),
    ("Tanh", "NaN becomes 1"),
    ("Sigmoid", "2e-4 off at -8, and never below 4.5e-7"),
    ("Relu", "NaN becomes 0"),
    ("Clip", "NaN becomes a limit"),
    ("Max", "NaN is dropped"),
    ("Min", "NaN is dropped"),
    ("ReduceMax", "NaN is dropped, and a row of -inf becomes the lowest finite number"),
    ("ReduceMin", "NaN is dropped, and a row of +inf becomes the largest finite number"),
    ("ReduceLogSumExp", "exp overflows from 88.7 on and underflows below -104"),
    ("LogSoftmax", "the logarithm of a softmax that has underflowed"),
    ("ConvTranspose", "output_shape takes the padding from the wrong side"),
    ("GridSample", "bicubic with padding border clips the position instead of each tap"),
];

/// tract's parser of ONNX nodes, with offby's kernels for the table's operators.
pub(super) fn framework(plain: bool) -> &'static Onnx {
    static PLAIN: OnceLock<Onnx> = OnceLock::new();
    static OURS: OnceLock<Onnx> = OnceLock::new();
    let stock = PLAIN.get_or_init(|| tract_onnx::onnx().with_ignore_output_shapes(true));
    if plain {
        return stock;
    }
    OURS.get_or_init(|| {
        let mut ours = stock.clone();
        for (op_type, _) in REPLACED {
            ours.op_register.insert(op_type, build);
        }
        ours
    })
}

fn build(
    context: &ParsingContext<'_>,
    node: &NodeProto,
) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    let builder = framework(true).op_register.0.get(&node.op_type);
    let builder = builder.ok_or_else(|| TractError::msg(format!("no {}", node.op_type)))?;
    let (theirs, closures) = builder(context, node)?;
    if !is_known_form(node) {
        return Ok((theirs, closures));
    }
    let kernel = ReplacedNode {
        op_type: node.op_type.clone(),
        opset: context.onnx_operator_set_version,
        attributes: attributes_of(node),
        left_out: node.input.iter().map(String::is_empty).collect(),
        written: node.output.iter().map(|name| !name.is_empty()).collect(),
        facts: tvec![],
    };
    Ok((Box::new(Replaced { theirs, kernel: Arc::new(kernel) }), closures))
}

/// The elements that an elementwise node computes at once.
const PIECE: usize = 1 << 20;

/// Attributes that offby's kernels know only with this value, if at all: tract computes the other forms.
const UNKNOWN_FORMS: &[(&str, i64)] =
    &[("activations", 0), ("clip", 0), ("input_forget", 0), ("layout", 0), ("antialias", 0)];

/// Whether offby's kernel knows this form of the operator.
fn is_known_form(node: &NodeProto) -> bool {
    let is_crop = |text: &[u8]| text == b"tf_crop_and_resize";
    let is_cached = node.op_type == "Attention"
        && (node.input.iter().skip(4).any(|name| !name.is_empty()) || node.output.len() > 1);
    !is_cached
        && node.attribute.iter().all(|attribute| {
            let other = UNKNOWN_FORMS.iter().any(|(name, value)| {
                attribute.name == *name
                    && (attribute.i != *value
                        || !attribute.strings.is_empty()
                        || attribute.f != 0.0)
            });
            !other && !is_crop(&attribute.s)
        })
}

/// A node with offby's arithmetic and tract's shape inference.
#[derive(Debug, Clone)]
struct Replaced {
    theirs: Box<dyn InferenceOp>,
    kernel: Arc<ReplacedNode>,
}

/// A node with offby's arithmetic.
#[derive(Debug, Clone)]
struct ReplacedNode {
    op_type: String,
    opset: i64,
    attributes: BTreeMap<String, Attribute>,
    /// Which of the node's inputs are omitted: tract does not count omitted inputs.
    left_out: Vec<bool>,
    /// Which of the node's outputs are written: tract does not count the others.
    written: Vec<bool>,
    facts: TVec<TypedFact>,
}

impl PartialEq for Replaced {
    fn eq(&self, other: &Self) -> bool {
        self.kernel == other.kernel
    }
}
impl Eq for Replaced {}

impl PartialEq for ReplacedNode {
    fn eq(&self, other: &Self) -> bool {
        // Attributes contain numbers without total equality, so their texts are compared.
        format!("{self:?}") == format!("{other:?}")
    }
}
impl Eq for ReplacedNode {}

impl Op for Replaced {
    fn name(&self) -> StaticName {
        self.kernel.op_type.clone().into()
    }
    not_a_typed_op!();
}

impl EvalOp for Replaced {
    fn eval_out_of_plan(&self, inputs: TVec<TValue>) -> TractResult<Option<TVec<TValue>>> {
        self.kernel.evaluate(&inputs).map(Some)
    }
}

impl InferenceOp for Replaced {
    fn infer_facts(
        &mut self,
        inputs: TVec<&InferenceFact>,
        outputs: TVec<&InferenceFact>,
        observed: TVec<&InferenceFact>,
    ) -> TractResult<(TVec<InferenceFact>, TVec<InferenceFact>, TVec<InferenceFact>)> {
        self.theirs.infer_facts(inputs, outputs, observed)
    }

    fn observe_outlets(
        &self,
        model: &InferenceModel,
        node: &InferenceNode,
    ) -> TractResult<Vec<OutletId>> {
        self.theirs.observe_outlets(model, node)
    }

    fn nboutputs(&self) -> TractResult<usize> {
        self.theirs.nboutputs()
    }

    as_op!();

    fn to_typed(
        &self,
        _: &InferenceModel,
        node: &InferenceNode,
        target: &mut TypedModel,
        mapping: &HashMap<OutletId, OutletId>,
    ) -> TractResult<TVec<OutletId>> {
        let facts = node.outputs.iter().map(|outlet| TypedFact::try_from(&outlet.fact));
        let facts = facts.collect::<TractResult<TVec<_>>>()?;
        let inputs: Vec<OutletId> = node.inputs.iter().map(|inlet| mapping[inlet]).collect();
        target.wire_node(&*node.name, ReplacedNode { facts, ..(*self.kernel).clone() }, &inputs)
    }
}

impl Op for ReplacedNode {
    fn name(&self) -> StaticName {
        self.op_type.clone().into()
    }
    op_as_typed_op!();
}

impl EvalOp for ReplacedNode {
    fn eval(&self, _: &EvalContext<'_>, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        self.evaluate(&inputs)
    }
    fn eval_out_of_plan(&self, inputs: TVec<TValue>) -> TractResult<Option<TVec<TValue>>> {
        self.evaluate(&inputs).map(Some)
    }
}

impl TypedOp for ReplacedNode {
    as_op!();

    /// In `f64` mode the inputs and outputs are wider than the inferred types.
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        let wide = f64::datum_type();
        let is_wide = inputs.iter().any(|input| input.datum_type == wide);
        let widened = |fact: &TypedFact| match is_wide && fact.datum_type.is_float() {
            true => wide.fact(fact.shape.clone()),
            false => fact.without_value(),
        };
        Ok(self.facts.iter().map(widened).collect())
    }
}

impl ReplacedNode {
    fn evaluate(&self, values: &[TValue]) -> TractResult<TVec<TValue>> {
        let name = ValueName::from(self.op_type.as_str());
        let mut given = values.iter();
        let mut inputs: Vec<Option<Tensor>> = Vec::new();
        for &left_out in &self.left_out {
            let value = if left_out { None } else { given.next() };
            inputs.push(value.map(|value| from_tract(&name, value)).transpose()?);
        }
        // For every operator in the table, ONNX gives the result the type of the inputs.
        let float = inputs.iter().flatten().map(Tensor::dtype).find(|dtype| dtype.is_float());
        let outputs = match self.in_pieces(&inputs)? {
            Some(output) => vec![output],
            None => self.computed(&inputs)?,
        };
        // A large input should not stay until the results are narrow.
        drop(inputs);
        let narrow = |tensor: Tensor| match float {
            Some(dtype) if tensor.dtype().is_float() => narrowed(tensor, dtype),
            _ => tensor,
        };
        let written = outputs.into_iter().zip(&self.written).filter(|(_, written)| **written);
        written.map(|(tensor, _)| Ok(to_tract(narrow(tensor))?.into_tvalue())).collect()
    }

    fn computed(&self, inputs: &[Option<Tensor>]) -> TractResult<Vec<Tensor>> {
        let call = Call {
            op_type: &self.op_type,
            opset: self.opset,
            attributes: &self.attributes,
            inputs,
            outputs: self.written.len(),
        };
        let outputs = compute(&call).ok_or_else(|| TractError::msg("offby has no kernel"))?;
        outputs.map_err(|reason| TractError::msg(format!("offby: {reason}")))
    }

    /// The result of a large elementwise node. In `f64`, the whole of both tensors would take four times their memory.
    fn in_pieces(&self, inputs: &[Option<Tensor>]) -> TractResult<Option<Tensor>> {
        let Some((Some(Tensor::F32(array)), others)) = inputs.split_first() else {
            return Ok(None);
        };
        let Some(all) = array.as_slice().filter(|all| all.len() > PIECE) else { return Ok(None) };
        if !is_elementwise(&self.op_type) {
            return Ok(None);
        }
        let mut results: Vec<f32> = Vec::with_capacity(all.len());
        for piece in all.chunks(PIECE) {
            let piece = Tensor::from_f32(&[piece.len()], piece.to_vec())?;
            let given: Vec<Option<Tensor>> =
                std::iter::once(Some(piece)).chain(others.iter().cloned()).collect();
            let result = self.computed(&given)?.into_iter().next();
            match result.map(|result| narrowed(result, Dtype::F32)) {
                Some(Tensor::F32(result)) => results.extend(result.iter()),
                _ => return Ok(None),
            }
        }
        Ok(Some(Tensor::from_f32(array.shape(), results)?))
    }
}
