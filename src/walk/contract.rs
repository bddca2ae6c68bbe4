//! What the walk asks of a candidate and of a reference, whatever engine they are.

use crate::tensor::Tensor;

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

/// Why an operator was not compared.
pub type Unchecked = String;

/// What the clean stream had for one operator.
#[derive(Debug, Clone, Default)]
pub struct Clean {
    /// Its inputs, where they are values.
    pub inputs: Vec<Option<Tensor>>,
    /// Its outputs.
    pub outputs: Vec<Tensor>,
}

/// Computes operators one at a time.
pub trait Reference {
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

    /// Goes on in the clean stream up to this operator.
    ///
    /// # Errors
    /// Why the operator is not in the clean stream.
    fn advance(&mut self, operator: &Operator) -> Result<Clean, Unchecked>;
}
