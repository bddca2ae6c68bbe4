//! The exact GELU, `x * (1 + erf(x / sqrt 2)) / 2`, in the operators that PyTorch exports for it.

use super::weights::floats;
use offby::graph::{Attribute, Network};

/// The exact GELU of a number.
pub(super) fn gelu(value: f64) -> f64 {
    value * (1.0 + libm::erf(value / std::f64::consts::SQRT_2)) / 2.0
}

/// Adds the GELU under `path`, the module's place in the graph.
pub(super) fn add(network: Network, path: &str, input: &str, output: &str) -> Network {
    let at = |name: &str| format!("{path}/{name}");
    let result = |name: &str| format!("{path}/{name}_output_0");
    let constant = |network: Network, name: &str, value: f32| {
        let value = Attribute::Tensor(floats(&[], &[value]));
        network.node(&at(name), "Constant", &[], &[&result(name)], &[("value", value)])
    };
    let [root, one, half] = ["Constant", "Constant_1", "Constant_2"].map(result);
    let [div, erf, add, mul] = ["Div", "Erf", "Add", "Mul"].map(result);
    let network = constant(network, "Constant", std::f32::consts::SQRT_2)
        .node(&at("Div"), "Div", &[input, &root], &[&div], &[])
        .node(&at("Erf"), "Erf", &[&div], &[&erf], &[]);
    let network = constant(network, "Constant_1", 1.0)
        .node(&at("Add"), "Add", &[&erf, &one], &[&add], &[])
        .node(&at("Mul"), "Mul", &[input, &add], &[&mul], &[]);
    constant(network, "Constant_2", 0.5).node(&at("Mul_1"), "Mul", &[&mul, &half], &[output], &[])
}
