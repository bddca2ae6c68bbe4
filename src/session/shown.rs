//! A network with every value as an output: an engine that shows no operators shows their results.

use crate::engine::{NodeSteps, Request, Second, Target};
use crate::graph::{Boundary, Cut, Model, ValueName};
use std::collections::BTreeSet;

/// A network with every value as an output.
pub(super) struct Shown {
    /// The network.
    pub(super) model: Model,
    /// The values in the order of evaluation, with the label and the operator of the node that writes each.
    pub(super) nodes: Vec<(ValueName, String, String)>,
}

impl Shown {
    /// Shows every value that depends on the inputs.
    ///
    /// # Errors
    /// If no engine computes a node, or the network cannot be cut.
    pub(super) fn of(request: &Request<'_>, target: &Target) -> Result<Self, String> {
        let mut steps = NodeSteps::with_second(request.model, None)?;
        let known = visible(request.model, target, captured(&mut steps, request)?);
        let model = showing(request.model, &known)?;
        let nodes = (0..steps.len()).flat_map(|step| {
            let (label, op_type) = steps.node(step);
            let writes = steps.writes(step).iter();
            writes
                .map(|value| (ValueName::from(value.as_str()), label.clone(), op_type.clone()))
                .collect::<Vec<_>>()
        });
        Ok(Shown { nodes: nodes.collect(), model })
    }
}

/// Every value that depends on the inputs and that the target can show, with the reference's type and shape. `second`
/// computes the nodes that tract refuses.
pub(super) fn values(
    request: &Request<'_>,
    target: &Target,
    second: Option<Second>,
) -> Result<Vec<Boundary>, String> {
    let known = captured(&mut NodeSteps::with_second(request.model, second)?, request)?;
    Ok(visible(request.model, target, known))
}

/// A target that runs the operators of the file itself has no values inside them.
fn visible(model: &Model, target: &Target, mut known: Vec<Boundary>) -> Vec<Boundary> {
    // Only ONNX Runtime is given operators that are not ONNX's own.
    if model.is_expanded() && matches!(target.itself(), Target::Ort(_)) {
        let written = model.as_written().nodes().flat_map(|node| node.outputs);
        let written: BTreeSet<&str> = written.map(String::as_str).collect();
        known.retain(|value| written.contains(value.name.as_str()));
    }
    known
}

fn captured(steps: &mut NodeSteps, request: &Request<'_>) -> Result<Vec<Boundary>, String> {
    steps.boundaries(request.feeds)
}

/// The network with these values as outputs.
pub(super) fn showing(model: &Model, values: &[Boundary]) -> Result<Model, String> {
    let to = values.iter().map(|value| value.name.clone()).collect();
    let cut = model.cut(&Cut { to, ..Cut::default() });
    let mut shown = cut.map_err(|error| error.to_string())?;
    shown.declare(values);
    Ok(shown)
}
