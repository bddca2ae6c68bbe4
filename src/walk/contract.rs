//! The interfaces that the walk needs from a candidate and from a reference, for any engine.

use super::error_summary::ErrorSummary;
use crate::bounds::Excess;
use crate::engine::Output;
use crate::graph::Attribute;
use crate::tensor::Tensor;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// An operator as an engine executes it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Operator {
    /// The operator's name. Engines repeat names.
    pub name: String,
    /// The number of operators with this name that ran before it.
    pub occurrence: usize,
    /// The engine's name for the operator type.
    pub op_type: String,
}

/// One input of an executed operator.
#[derive(Debug, Clone)]
pub enum Operand {
    /// A computed or fed value.
    Value(Tensor),
    /// A weight. The reference uses its own copy.
    Constant,
    /// An unreadable value, with the reason.
    Unreadable(String),
}

/// A block of elements that an operator copies; all strides and offsets count elements in
/// row-major order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block {
    /// The index of the input that the block is copied from.
    pub input: usize,
    /// The block's extent along three axes.
    pub size: [usize; 3],
    /// The offset in the input, and the input's strides.
    pub source: (i64, [i64; 3]),
    /// The offset in the output, and the output's strides.
    pub target: (i64, [i64; 3]),
}

/// An operator with its tensors, as the candidate shows them.
#[derive(Debug, Clone)]
pub struct Executed {
    /// The operator's position in the order of execution.
    pub index: usize,
    /// The operator.
    pub operator: Operator,
    /// The backend that ran it.
    pub backend: String,
    /// The operator's inputs.
    pub inputs: Vec<Operand>,
    /// The operator's outputs. An unreadable output is replaced by the reason.
    pub outputs: Vec<Result<Tensor, String>>,
    /// The blocks that are moved, if the operator only moves data. The reference then needs no operator of its own.
    pub moves: Option<Vec<Block>>,
}

/// All that determines an operator's outputs, apart from its name.
#[derive(Debug, Clone, Default)]
pub struct Anatomy {
    /// The inputs, including constants; `None` for an omitted or unreadable input.
    pub inputs: Vec<Option<Tensor>>,
    /// The attributes.
    pub attributes: BTreeMap<String, Attribute>,
    /// The opset version.
    pub opset: i64,
    /// Whether the attributes are known. If not, the map is empty and proves no attribute absent.
    pub is_known: bool,
}

impl Anatomy {
    /// An integer attribute.
    pub fn int(&self, name: &str) -> Option<i64> {
        match self.attributes.get(name) {
            Some(Attribute::Int(int)) => Some(*int),
            _ => None,
        }
    }

    /// An attribute that is a list of integers.
    pub fn ints(&self, name: &str) -> Option<Vec<i64>> {
        match self.attributes.get(name) {
            Some(Attribute::Ints(ints)) => Some(ints.clone()),
            _ => None,
        }
    }

    /// A text attribute.
    pub fn text(&self, name: &str) -> Option<String> {
        match self.attributes.get(name) {
            Some(Attribute::Text(text)) => Some(text.clone()),
            _ => None,
        }
    }
}

/// The reason why an operator was not compared.
pub type Unchecked = String;

/// The error of a witness that sums convolutions in tiles. Winograd's tiles of MNN's CPU need up to 3.5e-4.
pub const TILES: f64 = 1e-3;

/// The error of a witness's operator against the reference, on the witness's own inputs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct KernelError {
    /// The size of the error.
    #[serde(rename = "gauge")]
    pub error_summary: ErrorSummary,
    /// Whether the witness's operator has exactly the node's constants.
    pub same_constants: bool,
}

/// The clean stream's values for one operator.
#[derive(Debug, Clone, Default)]
pub struct Clean {
    /// The operator's inputs; `None` for an input that is not a value.
    pub inputs: Vec<Option<Tensor>>,
    /// The operator's outputs.
    pub outputs: Vec<Tensor>,
    /// How far the first output is from the same ONNX value in a second engine, if that engine has it. The model's
    /// conversion caused this difference, before any backend is involved.
    pub conversion: Option<ErrorSummary>,
    /// The witness's own error at this operator, if it differs from the reference there.
    pub kernel: Option<KernelError>,
    /// The outputs with the original network's weights. Empty if the network under test has those weights.
    pub full: Vec<Tensor>,
}

/// An engine that runs a network freely and can be observed while it runs.
pub trait Candidate {
    /// Resets all state, as if the network had never run.
    ///
    /// # Errors
    /// Returns the reason if the network cannot be opened again.
    fn reopen(&mut self) -> Result<(), String>;

    /// Runs undisturbed. `announce` receives the operators if that does not disturb the run.
    ///
    /// # Errors
    /// Returns the reason if the candidate refused to run.
    fn run(&mut self, announce: &mut Announce<'_>) -> Result<Vec<Output>, String>;

    /// Runs and shows every operator. The walk writes no values into the run.
    ///
    /// # Errors
    /// Returns the reason if the candidate refused to run.
    fn run_tapped(
        &mut self,
        announce: &mut Announce<'_>,
        observe: &mut dyn FnMut(Executed),
    ) -> Result<Vec<Output>, String>;
}

/// Computes operators one at a time.
pub trait OperatorReference {
    /// Resets the clean stream to its start.
    ///
    /// # Errors
    /// Returns the reason if the stream cannot be fed.
    fn restart(&mut self) -> Result<(), String>;

    /// Runs the clean stream to its end and returns the final outputs.
    ///
    /// # Errors
    /// Returns the reason if the reference refused to run.
    fn complete(&mut self) -> Result<Vec<Output>, String>;

    /// The final outputs with 16-bit weights and every value rounded when it is computed. They equal an honest 16-bit
    /// backend's from end to end. The walk asks for them once, before anything else.
    ///
    /// # Errors
    /// Returns the reason if the reference refused to run.
    fn half_outputs(&mut self) -> Result<Vec<Output>, String>;

    /// The operator's outputs on the candidate's inputs.
    ///
    /// # Errors
    /// Returns the reason if the operator cannot be computed here.
    fn recompute(
        &mut self,
        operator: &Operator,
        inputs: &[Operand],
    ) -> Result<Vec<Tensor>, Unchecked>;

    /// The same with weights rounded as in a 16-bit backend. The inputs are already rounded.
    ///
    /// # Errors
    /// Returns the reason if the operator cannot be computed here.
    fn recompute_half(
        &mut self,
        operator: &Operator,
        inputs: &[Operand],
    ) -> Result<Vec<Tensor>, Unchecked>;

    /// The same as [`OperatorReference::recompute`] with the original network's weights. `None` if the network under test has
    /// those weights.
    fn recompute_full(
        &mut self,
        _: &Operator,
        _: &[Operand],
    ) -> Option<Result<Vec<Tensor>, Unchecked>> {
        None
    }

    /// The operator's outputs on the candidate's inputs, computed by the session's reference. Used if this reference is
    /// only a witness with the same list of operators. `None` if the session's reference lacks the operator.
    fn arbitrate(
        &mut self,
        _: &Operator,
        _: &[Operand],
        _: &Clean,
        _: &[&Tensor],
    ) -> Option<Vec<Tensor>> {
        None
    }

    /// Compares the candidate's outputs of an operator on these inputs with the bounds of their elements. `near` is the
    /// result of [`OperatorReference::recompute`]. `None` if no bound is known.
    fn weigh(
        &mut self,
        _: &Operator,
        _: &[Operand],
        _clean: Option<&Clean>,
        _near: &[Tensor],
        _outputs: &[&Tensor],
    ) -> Option<Excess> {
        None
    }

    /// The operator's anatomy on these inputs. A reference that knows no attributes returns the inputs alone.
    fn anatomy(&mut self, _: &Operator, inputs: &[Operand]) -> Anatomy {
        let value = |input: &Operand| match input {
            Operand::Value(tensor) => Some(tensor.clone()),
            Operand::Constant | Operand::Unreadable(_) => None,
        };
        Anatomy { inputs: inputs.iter().map(value).collect(), ..Anatomy::default() }
    }

    /// Advances the clean stream to this operator and returns its values.
    ///
    /// # Errors
    /// Returns the reason if the operator is not in the clean stream.
    fn advance(&mut self, operator: &Operator) -> Result<Clean, Unchecked>;
}

/// Receives each operator before it runs.
pub type Announce<'a> = dyn FnMut(usize, &Operator) + 'a;
