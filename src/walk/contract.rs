//! What the walk asks of a candidate and of a reference, whatever engine they are.

use super::conduct::Announce;
use super::gauge::Gauge;
use crate::bounds::Excess;
use crate::engine::Output;
use crate::graph::Attribute;
use crate::tensor::Tensor;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// An operator as an engine executes it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Operator {
    /// Its name; engines repeat names.
    pub name: String,
    /// How many operators of this name ran before it.
    pub occurrence: usize,
    /// The engine's name of its type.
    pub op_type: String,
}

/// One input of an executed operator.
#[derive(Debug, Clone)]
pub enum Operand {
    /// A value that was computed or fed.
    Value(Tensor),
    /// A weight: the reference keeps its own.
    Constant,
    /// A value that could not be read, and why.
    Unreadable(String),
}

/// A block of elements that an operator copies; all strides and offsets count elements in
/// row-major order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block {
    /// Which input it comes from.
    pub input: usize,
    /// Its extent along three axes.
    pub size: [usize; 3],
    /// Where it starts in the input, and the input's strides.
    pub source: (i64, [i64; 3]),
    /// Where it goes in the output, and the output's strides.
    pub target: (i64, [i64; 3]),
}

/// An operator with the tensors it had, as the candidate shows them.
#[derive(Debug, Clone)]
pub struct Executed {
    /// Its place in the order of execution.
    pub index: usize,
    /// Which it is.
    pub operator: Operator,
    /// The backend that ran it.
    pub backend: String,
    /// What it was given.
    pub inputs: Vec<Operand>,
    /// What it gave; an output that could not be read is the reason.
    pub outputs: Vec<Result<Tensor, String>>,
    /// For an operator that only moves data: what it moves. The reference then needs no operator
    /// of its own.
    pub moves: Option<Vec<Block>>,
}

/// What an operator is besides its name: all that its outputs are computed from.
#[derive(Debug, Clone, Default)]
pub struct Anatomy {
    /// Its inputs, constants among them; `None` for one that is left out or cannot be read.
    pub inputs: Vec<Option<Tensor>>,
    /// Its attributes.
    pub attributes: BTreeMap<String, Attribute>,
    /// The version of the operators' standard.
    pub opset: i64,
    /// Whether the attributes are known. Otherwise none is there, and nothing follows from that.
    pub is_known: bool,
}

impl Anatomy {
    /// An attribute that is an integer.
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

    /// An attribute that is a text.
    pub fn text(&self, name: &str) -> Option<String> {
        match self.attributes.get(name) {
            Some(Attribute::Text(text)) => Some(text.clone()),
            _ => None,
        }
    }
}

/// Why an operator was not compared.
pub type Unchecked = String;

/// The reference on the witness's own inputs of an operator against the witness's output.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct KernelError {
    /// How far the witness is off.
    pub gauge: Gauge,
    /// Whether the witness's operator has the very constants of the node.
    pub same_constants: bool,
}

/// What the clean stream had for one operator.
#[derive(Debug, Clone, Default)]
pub struct Clean {
    /// Its inputs, where they are values.
    pub inputs: Vec<Option<Tensor>>,
    /// Its outputs.
    pub outputs: Vec<Tensor>,
    /// How far its first output is from the same ONNX value in another engine, where it has one:
    /// what the conversion of the model changed, before any backend is looked at.
    pub conversion: Option<Gauge>,
    /// What the witness itself does wrong at this operator, if it differs from the reference there.
    pub kernel: Option<KernelError>,
    /// Its outputs with the weights of the original network; empty where the network under test has those.
    pub full: Vec<Tensor>,
}

/// Anything that runs a network freely and can be watched doing so.
pub trait Candidate {
    /// Forgets everything, as if the network had never run.
    ///
    /// # Errors
    /// Why it cannot be opened again.
    fn reopen(&mut self) -> Result<(), String>;

    /// Runs undisturbed; `announce` is told of operators where that disturbs nothing.
    ///
    /// # Errors
    /// Why it refused.
    fn run(&mut self, announce: &mut Announce<'_>) -> Result<Vec<Output>, String>;

    /// Runs and shows every operator. Nothing is written into it.
    ///
    /// # Errors
    /// Why it refused.
    fn run_tapped(
        &mut self,
        announce: &mut Announce<'_>,
        observe: &mut dyn FnMut(&Executed),
    ) -> Result<Vec<Output>, String>;
}

/// Computes operators one at a time.
pub trait Reference {
    /// Sets the clean stream back to its start.
    ///
    /// # Errors
    /// Why it cannot be fed.
    fn restart(&mut self) -> Result<(), String>;

    /// Runs the clean stream to its end and gives the final outputs.
    ///
    /// # Errors
    /// Why it refused.
    fn complete(&mut self) -> Result<Vec<Output>, String>;

    /// The final outputs with 16-bit weights and every value rounded as it comes: an honest 16-bit
    /// backend from end to end. Asked for once, before anything else.
    ///
    /// # Errors
    /// Why it refused.
    fn half_outputs(&mut self) -> Result<Vec<Output>, String>;

    /// The operator's outputs on the candidate's inputs.
    ///
    /// # Errors
    /// Why the operator cannot be computed here.
    fn recompute(
        &mut self,
        operator: &Operator,
        inputs: &[Operand],
    ) -> Result<Vec<Tensor>, Unchecked>;

    /// The same with weights as a 16-bit backend has them; inputs come rounded already.
    ///
    /// # Errors
    /// Why the operator cannot be computed here.
    fn recompute_half(
        &mut self,
        operator: &Operator,
        inputs: &[Operand],
    ) -> Result<Vec<Tensor>, Unchecked>;

    /// The same as [`Reference::recompute`] with the weights of the original network; `None` where the
    /// network under test has those.
    fn recompute_full(
        &mut self,
        _: &Operator,
        _: &[Operand],
    ) -> Option<Result<Vec<Tensor>, Unchecked>> {
        None
    }

    /// The operator's outputs on the candidate's inputs by the reference of the session, if this one is
    /// only a witness with the same list of operators. `None` if the operator cannot be found there.
    fn arbitrate(
        &mut self,
        _: &Operator,
        _: &[Operand],
        _: &Clean,
        _: &[&Tensor],
    ) -> Option<Vec<Tensor>> {
        None
    }

    /// The operator's outputs, as the candidate has them on these inputs, held to the bounds of their elements.
    /// `near` is what [`Reference::recompute`] gave. `None` if no bound is known.
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

    /// What the operator is on these inputs. A reference that knows no attributes gives the inputs alone.
    fn anatomy(&mut self, _: &Operator, inputs: &[Operand]) -> Anatomy {
        let value = |input: &Operand| match input {
            Operand::Value(tensor) => Some(tensor.clone()),
            Operand::Constant | Operand::Unreadable(_) => None,
        };
        Anatomy { inputs: inputs.iter().map(value).collect(), ..Anatomy::default() }
    }

    /// Goes on in the clean stream up to this operator.
    ///
    /// # Errors
    /// Why the operator is not in the clean stream.
    fn advance(&mut self, operator: &Operator) -> Result<Clean, Unchecked>;
}
