//! A short description of a network of one node.

use super::cases::Case;
use offby::graph::{Attribute, Network};
use offby::tensor::{Dtype, Tensor};

/// A short description of a network: name, operator, inputs, constants, attributes, outputs' types.
pub(crate) struct Draft {
    name: &'static str,
    op_type: &'static str,
    opset: i64,
    /// Inputs in order; `None` is an omitted input, `Some((tensor, true))` a constant.
    inputs: Vec<Option<(Tensor, bool)>>,
    attributes: Vec<(&'static str, Attribute)>,
    outputs: Vec<Dtype>,
}

impl Draft {
    /// A node with these inputs and one output of `f32`.
    pub(crate) fn new(name: &'static str, op_type: &'static str, fed: Vec<Tensor>) -> Self {
        let inputs = fed.into_iter().map(|tensor| Some((tensor, false))).collect();
        let (attributes, outputs) = (Vec::new(), vec![Dtype::F32]);
        Draft { name, op_type, opset: 18, inputs, attributes, outputs }
    }

    /// Adds an attribute.
    pub(crate) fn with(mut self, name: &'static str, value: Attribute) -> Self {
        self.attributes.push((name, value));
        self
    }

    /// Adds an attribute with a whole number.
    pub(crate) fn int(self, name: &'static str, value: i64) -> Self {
        self.with(name, Attribute::Int(value))
    }

    /// Adds an attribute with whole numbers.
    pub(crate) fn ints(self, name: &'static str, values: &[i64]) -> Self {
        self.with(name, Attribute::Ints(values.to_vec()))
    }

    /// Adds an attribute with a text.
    pub(crate) fn text(self, name: &'static str, value: &str) -> Self {
        self.with(name, Attribute::Text(value.into()))
    }

    /// Sets the opset.
    pub(crate) fn opset(self, opset: i64) -> Self {
        Draft { opset, ..self }
    }

    /// Adds an input that is a constant.
    pub(crate) fn constant(mut self, tensor: Tensor) -> Self {
        self.inputs.push(Some((tensor, true)));
        self
    }

    /// Adds an omitted input.
    pub(crate) fn left_out(mut self) -> Self {
        self.inputs.push(None);
        self
    }

    /// Sets the types of the outputs.
    pub(crate) fn gives(self, outputs: &[Dtype]) -> Self {
        Draft { outputs: outputs.to_vec(), ..self }
    }

    /// The network with its inputs.
    pub(crate) fn finish(self) -> Result<Case, String> {
        let names: Vec<String> = (0..self.inputs.len()).map(|place| format!("x{place}")).collect();
        let mut network = Network::new(self.name).opset(self.opset);
        let (mut reads, mut fed) = (Vec::new(), Vec::new());
        for (name, input) in names.iter().zip(&self.inputs) {
            match input {
                None => reads.push(""),
                Some((tensor, is_constant)) => {
                    reads.push(name.as_str());
                    if *is_constant {
                        network = network.initializer(name, tensor);
                    } else {
                        network = network.input(name, tensor.dtype(), tensor.shape());
                        fed.push(tensor.clone());
                    }
                }
            }
        }
        let outputs: Vec<String> =
            (0..self.outputs.len()).map(|place| format!("y{place}")).collect();
        let writes: Vec<&str> = outputs.iter().map(String::as_str).collect();
        network = network.node("n", self.op_type, &reads, &writes, &self.attributes);
        for (name, dtype) in outputs.iter().zip(&self.outputs) {
            // Only the type counts: the shape is inferred.
            network = network.output(name, *dtype, &[]);
        }
        let model = network.finish().map_err(|error| error.to_string())?;
        let name = format!("own: {}", self.name);
        Case::new(&name, model, fed).map_err(|reason| format!("{name}: {reason}"))
    }
}
