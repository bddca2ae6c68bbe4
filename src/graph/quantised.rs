//! A float network and its quantised form, and networks between the two: chosen layers stay in float.
//!
//! The quantised form is ONNX's QDQ form, as `onnxruntime.quantization` writes it. Each quantised value passes a
//! QuantizeLinear and a DequantizeLinear, and each quantised weight a DequantizeLinear. A layer that stays in float
//! reads the value from before that pair, and the float network's own weights.

use super::wiring::Wiring;
use super::{Cut, Model, ValueName, from_proto, to_proto};
use crate::tensor::{Dtype, Tensor};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use tract_onnx::pb::{GraphProto, NodeProto, TensorProto};

const QUANTIZE: &str = "QuantizeLinear";
const DEQUANTIZE: &str = "DequantizeLinear";

/// Ends the names of values and nodes that come from the float network.
const FLOAT: &str = "/float";

/// How many nodes a quantiser may have fused into the node before them: a Relu or a Clip.
const MOST_FUSED: usize = 2;

/// A float network and its quantised form.
pub struct QuantisedPair<'a> {
    float: &'a Model,
    quantised: &'a Model,
    layers: Vec<QuantisedLayer>,
    stuck: Vec<(String, String)>,
    /// The values that nodes of the quantised network write.
    written: BTreeSet<&'a str>,
}

/// A node of the quantised network that reads quantised values, and that the float network has, too.
#[derive(Debug, Clone, PartialEq)]
pub struct QuantisedLayer {
    /// The node's label.
    pub label: String,
    /// Its operator.
    pub op_type: String,
    /// The quantised values that it reads, apart from constants, by their names in the float network.
    pub activations: Vec<(ValueName, Steps)>,
    node: usize,
    inputs: Vec<(usize, FloatInput)>,
}

/// The scale of a quantised value: the real number is (integer − zero point) × scale.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Steps {
    /// The size of a step.
    pub scale: f64,
    /// The smallest number that can be stored.
    pub low: f64,
    /// The largest number that can be stored.
    pub high: f64,
}

/// Where a layer in float gets an input from.
#[derive(Debug, Clone, PartialEq)]
enum FloatInput {
    /// A value of the quantised network.
    Value(String),
    /// A value of the quantised network, after float nodes that the quantiser fused into the node before.
    Fused { from: String, nodes: Vec<usize> },
    /// A constant of the float network.
    Constant(String),
}

impl<'a> QuantisedPair<'a> {
    /// Finds the layers of both networks.
    ///
    /// # Errors
    /// If the second network has no layer in QDQ form that the first one has, too.
    pub fn of(float: &'a Model, quantised: &'a Model) -> Result<Self, String> {
        if float.outputs() != quantised.outputs() {
            return Err("its outputs are not the float network's".into());
        }
        let graphs = Graphs::of(float, quantised);
        let (mut layers, mut stuck) = (Vec::new(), Vec::new());
        for (index, node) in quantised.graph().node.iter().enumerate() {
            let reads = node.input.iter().any(|input| graphs.dequantize(input).is_some());
            if let Some(output) = graphs.output(index) {
                layers.push(output);
            }
            if is_pair(node) || !reads {
                continue;
            }
            match graphs
                .twins
                .get(&index)
                .ok_or_else(|| "the float network has no such node".to_owned())
            {
                Ok(twin) => match graphs.layer(index, *twin) {
                    Ok(layer) => layers.push(layer),
                    Err(why) => stuck.push((quantised.node(index).label().to_owned(), why)),
                },
                Err(why) => stuck.push((quantised.node(index).label().to_owned(), why)),
            }
        }
        match layers.is_empty() {
            true => Err(stuck.first().map_or_else(
                || "it has no QuantizeLinear with a DequantizeLinear".to_owned(),
                |(label, why)| format!("`{label}`: {why}"),
            )),
            false => {
                let written = graphs.quantised_wiring.producers().map(|(value, _)| value).collect();
                Ok(QuantisedPair { float, quantised, layers, stuck, written })
            }
        }
    }

    /// The layers, in the quantised network's order.
    pub fn layers(&self) -> &[QuantisedLayer] {
        &self.layers
    }

    /// Quantised nodes that cannot stay in float, each with the reason.
    pub fn stuck(&self) -> &[(String, String)] {
        &self.stuck
    }

    /// The quantised network with these layers in float.
    ///
    /// # Errors
    /// If a constant of the float network cannot be read.
    pub fn with_float(&self, kept: &BTreeSet<usize>) -> Result<Model, String> {
        let mut model = self.quantised.clone();
        let mut before: BTreeMap<usize, Vec<NodeProto>> = BTreeMap::new();
        let mut fused = BTreeSet::new();
        for layer in kept.iter().filter_map(|at| self.layers.get(*at)) {
            for (place, input) in &layer.inputs {
                let name = match input {
                    FloatInput::Value(name) => name.clone(),
                    FloatInput::Constant(name) => self.constant(&mut model, name)?,
                    FloatInput::Fused { from, nodes } => {
                        let copies = self.copies(from, nodes);
                        let name = copies.last().map(|node| node.output[0].clone());
                        let name = name.unwrap_or_else(|| from.clone());
                        if fused.insert(name.clone()) {
                            let mut copies = copies;
                            for input in copies.iter_mut().flat_map(|node| &mut node.input[1..]) {
                                *input = self.constant(&mut model, input)?;
                            }
                            before.entry(layer.node).or_default().extend(copies);
                        }
                        name
                    }
                };
                let node = &mut model.graph_mut().node[layer.node];
                if is_pair(node) {
                    *node = identity(node, name);
                } else {
                    node.input[*place] = name;
                }
            }
        }
        let nodes = std::mem::take(&mut model.graph_mut().node).into_iter().enumerate();
        let nodes = nodes
            .flat_map(|(at, node)| before.remove(&at).unwrap_or_default().into_iter().chain([node]))
            .collect();
        model.graph_mut().node = nodes;
        // A cut at the outputs leaves out what nothing reads any more.
        let cut = model.cut(&Cut { to: model.outputs().to_vec(), ..Cut::default() });
        cut.map_err(|error| error.to_string())
    }

    /// Copies a constant of the float network, unless the quantised network still has it. Returns its name. A
    /// quantiser may give its name to the value that a DequantizeLinear writes.
    fn constant(&self, model: &mut Model, name: &str) -> Result<String, String> {
        if name.is_empty() || stored(model, name).is_some() {
            return Ok(name.to_owned());
        }
        let mut new = name.to_owned();
        if self.written.contains(name) {
            new.push_str(FLOAT);
        }
        if stored(model, &new).is_none() {
            let tensor = constant(self.float, name).ok_or("a constant of it is no tensor")?;
            model.graph_mut().initializer.push(to_proto(&new, &tensor));
        }
        Ok(new)
    }

    /// The fused nodes, reading a value of the quantised network. Their values get new names.
    fn copies(&self, from: &str, nodes: &[usize]) -> Vec<NodeProto> {
        let mut read = from.to_owned();
        let copy = |node: &usize| {
            let mut node = self.float.graph().node[*node].clone();
            node.name.push_str(FLOAT);
            node.input[0] = std::mem::take(&mut read);
            node.output[0].push_str(FLOAT);
            read = node.output[0].clone();
            node
        };
        nodes.iter().map(copy).collect()
    }
}

/// Both graphs with their wiring.
struct Graphs<'a> {
    float: &'a Model,
    quantised: &'a Model,
    float_wiring: Wiring<'a>,
    quantised_wiring: Wiring<'a>,
    /// The float node of each quantised node, and the float nodes that have one.
    twins: BTreeMap<usize, usize>,
    matched: BTreeSet<usize>,
}

impl<'a> Graphs<'a> {
    fn of(float: &'a Model, quantised: &'a Model) -> Self {
        let twins = twins(float.graph(), quantised.graph());
        Graphs {
            float,
            quantised,
            matched: twins.values().copied().collect(),
            twins,
            float_wiring: Wiring::of(float.graph()),
            quantised_wiring: Wiring::of(quantised.graph()),
        }
    }

    fn writer(&self, value: &str) -> Option<&'a NodeProto> {
        self.quantised_wiring.producer(value).map(|node| &self.quantised.graph().node[node])
    }

    fn dequantize(&self, value: &str) -> Option<&'a NodeProto> {
        self.writer(value).filter(|node| node.op_type == DEQUANTIZE)
    }

    /// The layer, with the float form of each quantised input.
    fn layer(&self, index: usize, twin: usize) -> Result<QuantisedLayer, String> {
        let (node, twin) = (&self.quantised.graph().node[index], &self.float.graph().node[twin]);
        let (mut inputs, mut activations) = (Vec::new(), Vec::new());
        for (place, input) in node.input.iter().enumerate() {
            let Some(dequantize) = self.dequantize(input) else { continue };
            let own = twin.input.get(place).ok_or("it has fewer inputs in float")?;
            let quantize = self.writer(&dequantize.input[0]);
            match quantize.filter(|node| node.op_type == QUANTIZE) {
                Some(quantize) => {
                    inputs.push((place, self.before(&quantize.input[0], own)?));
                    if let Some(steps) = self.steps(dequantize) {
                        activations.push((own.as_str().into(), steps));
                    }
                }
                None => match stored(self.float, own) {
                    Some(_) => inputs.push((place, FloatInput::Constant(own.clone()))),
                    None => return Err(format!("its input `{own}` is no constant in float")),
                },
            }
        }
        let label = self.quantised.node(index).label().to_owned();
        let op_type = node.op_type.clone();
        Ok(QuantisedLayer { label, op_type, activations, node: index, inputs })
    }

    /// The value before a QuantizeLinear. `own` is its name in the float network.
    fn before(&self, value: &str, own: &str) -> Result<FloatInput, String> {
        let mut nodes = Vec::new();
        let mut at = own;
        // A quantiser drops a Relu or a Clip whose work the range of the integers does, and renames outputs.
        while let Some(node) = self.float_wiring.producer(at) {
            if self.matched.contains(&node) {
                break;
            }
            let written = &self.float.graph().node[node];
            let rest = written.input.get(1..).unwrap_or_default();
            if nodes.len() == MOST_FUSED || rest.iter().any(|name| !self.is_constant(name)) {
                return Err(format!("the quantised network has no `{own}`"));
            }
            nodes.insert(0, node);
            at = written.input.first().ok_or("a fused node has no input")?;
        }
        Ok(match nodes.is_empty() {
            true => FloatInput::Value(value.to_owned()),
            false => FloatInput::Fused { from: value.to_owned(), nodes },
        })
    }

    /// The pair that writes an output of the network, as a layer: a float network does not round its outputs.
    fn output(&self, index: usize) -> Option<QuantisedLayer> {
        let node = &self.quantised.graph().node[index];
        let name = node.output.first()?;
        let is_output = self.quantised.outputs().iter().any(|output| output.as_str() == name);
        let quantize = self.writer(node.input.first()?)?;
        if !is_output || node.op_type != DEQUANTIZE || quantize.op_type != QUANTIZE {
            return None;
        }
        Some(QuantisedLayer {
            label: name.clone(),
            op_type: "output".into(),
            activations: self
                .steps(node)
                .map(|steps| (name.as_str().into(), steps))
                .into_iter()
                .collect(),
            node: index,
            inputs: vec![(0, self.before(&quantize.input[0], name).ok()?)],
        })
    }

    fn is_constant(&self, name: &str) -> bool {
        name.is_empty() || stored(self.float, name).is_some()
    }

    /// The steps of a DequantizeLinear with one scale.
    fn steps(&self, dequantize: &NodeProto) -> Option<Steps> {
        let number = |place: usize| {
            let name = dequantize.input.get(place).filter(|name| !name.is_empty())?;
            let tensor = constant(self.quantised, name)?;
            (tensor.len() == 1).then(|| (tensor.numbers(1)[0], tensor.dtype()))
        };
        let (scale, _) = number(1)?;
        // Without a zero point the integers are of type uint8.
        let (zero, low, high) = match number(2) {
            None => (0.0, 0.0, 255.0),
            Some((zero, dtype)) => {
                let (low, high) = integers(dtype)?;
                (zero, low, high)
            }
        };
        Some(Steps { scale, low: (low - zero) * scale, high: (high - zero) * scale })
    }
}

/// The smallest and the largest integer of a type that QuantizeLinear writes.
fn integers(dtype: Dtype) -> Option<(f64, f64)> {
    match dtype {
        Dtype::I8 => Some((f64::from(i8::MIN), f64::from(i8::MAX))),
        Dtype::U8 => Some((0.0, f64::from(u8::MAX))),
        Dtype::I16 => Some((f64::from(i16::MIN), f64::from(i16::MAX))),
        Dtype::U16 => Some((0.0, f64::from(u16::MAX))),
        _ => None,
    }
}

/// The float node of each quantised node: the same name and operator. Nodes without names match in order.
fn twins(float: &GraphProto, quantised: &GraphProto) -> BTreeMap<usize, usize> {
    let mut unnamed: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    let mut named: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for (index, node) in float.node.iter().enumerate() {
        match node.name.is_empty() {
            true => unnamed.entry(&node.op_type).or_default().push(index),
            false => drop(named.insert((&node.name, &node.op_type), index)),
        }
    }
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut found = BTreeMap::new();
    for (index, node) in quantised.node.iter().enumerate().filter(|(_, node)| !is_pair(node)) {
        let twin = match node.name.is_empty() {
            true => {
                let count = counts.entry(&node.op_type).or_default();
                *count += 1;
                unnamed.get(node.op_type.as_str()).and_then(|all| all.get(*count - 1)).copied()
            }
            false => named.get(&(node.name.as_str(), node.op_type.as_str())).copied(),
        };
        found.extend(twin.map(|twin| (index, twin)));
    }
    found
}

fn is_pair(node: &NodeProto) -> bool {
    matches!(node.op_type.as_str(), QUANTIZE | DEQUANTIZE)
}

/// A node that hands a value on under the name that a DequantizeLinear writes.
fn identity(node: &NodeProto, value: String) -> NodeProto {
    NodeProto {
        input: vec![value],
        output: node.output.clone(),
        name: node.name.clone(),
        op_type: "Identity".into(),
        ..NodeProto::default()
    }
}

/// The tensor of an initializer, or of a `Constant` node.
fn constant(model: &Model, name: &str) -> Option<Tensor> {
    let folder = model.path().parent().unwrap_or(Path::new(""));
    from_proto(stored(model, name)?, folder).ok()
}

/// The same as it is stored.
fn stored<'m>(model: &'m Model, name: &str) -> Option<&'m TensorProto> {
    let graph = model.graph();
    graph.initializer.iter().find(|tensor| tensor.name == name).or_else(|| {
        let writes = |node: &&NodeProto| {
            node.op_type == "Constant" && node.output.iter().any(|output| output == name)
        };
        let node = graph.node.iter().find(writes)?;
        node.attribute.iter().find_map(|attribute| attribute.t.as_ref())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Attribute, Network};

    fn numbers(shape: &[usize], values: &[f32]) -> Tensor {
        Tensor::from_f32(shape, values.to_vec()).unwrap()
    }

    /// MatMul, Relu and MatMul.
    fn float() -> Model {
        Network::new("float")
            .input("x", Dtype::F32, &[1, 2])
            .initializer("w0", &numbers(&[2, 2], &[1.0, 0.5, -0.25, 2.0]))
            .initializer("w1", &numbers(&[2, 2], &[0.3, -1.0, 1.0, 0.7]))
            .node("first", "MatMul", &["x", "w0"], &["a"], &[])
            .node("relu", "Relu", &["a"], &["b"], &[])
            .node("second", "MatMul", &["b", "w1"], &["y"], &[])
            .output("y", Dtype::F32, &[1, 2])
            .finish()
            .unwrap()
    }

    /// The same as a quantiser writes it: the Relu is gone, since the range of the integers begins at 0.
    fn quantised() -> Model {
        let byte = |value: u8| Tensor::from_bytes(Dtype::U8, &[], &[value]).unwrap();
        let bytes = |values: [i8; 4]| {
            let bytes: Vec<u8> = values.iter().map(|value| value.cast_unsigned()).collect();
            Tensor::from_bytes(Dtype::I8, &[2, 2], &bytes).unwrap()
        };
        let pair = |network: Network, from: &str, zero: &str| {
            let (q, dq) = (format!("{from}_q"), format!("{from}_dq"));
            let network = network.node("", "QuantizeLinear", &[from, "s", zero], &[&q], &[]);
            network.node("", "DequantizeLinear", &[&q, "s", zero], &[&dq], &[])
        };
        let network = Network::new("quantised")
            .input("x", Dtype::F32, &[1, 2])
            .initializer("s", &numbers(&[], &[0.01]))
            .initializer("z", &byte(0))
            .initializer("middle", &byte(128))
            .initializer("w0_q", &bytes([100, 50, -25, 127]))
            .initializer("w1_q", &bytes([30, -100, 100, 70]));
        let network = pair(network, "x", "middle")
            .node("", "DequantizeLinear", &["w0_q", "s"], &["w0_dq"], &[])
            .node("first", "MatMul", &["x_dq", "w0_dq"], &["b"], &[]);
        pair(network, "b", "z")
            .node(
                "",
                "DequantizeLinear",
                &["w1_q", "s"],
                &["w1_dq"],
                &[("axis", Attribute::Int(0))],
            )
            .node("second", "MatMul", &["b_dq", "w1_dq"], &["y"], &[])
            .output("y", Dtype::F32, &[1, 2])
            .finish()
            .unwrap()
    }

    #[test]
    fn layers_have_the_names_and_ranges_of_the_float_network() {
        let (float, quantised) = (float(), quantised());
        let pair = QuantisedPair::of(&float, &quantised).unwrap();
        let names: Vec<_> = pair.layers().iter().map(|layer| layer.label.as_str()).collect();
        assert_eq!(names, ["first", "second"]);
        let (name, steps) = &pair.layers()[0].activations[0];
        assert_eq!(name.as_str(), "x");
        assert!((steps.low + 1.28).abs() < 1e-6 && (steps.high - 1.27).abs() < 1e-6, "{steps:?}");
        assert_eq!(pair.layers()[1].activations[0].0.as_str(), "b");
    }

    #[test]
    fn all_layers_in_float_are_the_float_network() {
        let (float, quantised) = (float(), quantised());
        let pair = QuantisedPair::of(&float, &quantised).unwrap();
        let mixed = pair.with_float(&[0, 1].into()).unwrap();
        let types: Vec<_> = mixed.nodes().map(|node| node.op_type.to_owned()).collect();
        assert_eq!(types, ["MatMul", "Relu", "MatMul"]);
        let weights = mixed.initializers();
        assert_eq!(weights.keys().map(ValueName::as_str).collect::<Vec<_>>(), ["w0", "w1"]);
    }

    #[test]
    fn one_layer_in_float_leaves_the_other_quantised() {
        let (float, quantised) = (float(), quantised());
        let pair = QuantisedPair::of(&float, &quantised).unwrap();
        let mixed = pair.with_float(&[0].into()).unwrap();
        let pairs = mixed.nodes().filter(|node| node.op_type == "QuantizeLinear").count();
        assert_eq!(pairs, 1);
        let second = mixed.nodes().find(|node| node.name == "second").unwrap();
        assert_eq!(second.inputs, ["b_dq", "w1_dq"]);
    }

    /// A quantiser renames the value before the pair, and gives a weight's name to its DequantizeLinear.
    #[test]
    fn names_that_a_quantiser_gave_away_are_no_obstacle() {
        let byte = |values: &[u8]| Tensor::from_bytes(Dtype::U8, &[values.len()], values).unwrap();
        let quantised = Network::new("quantised")
            .input("x", Dtype::F32, &[1, 2])
            .initializer("s", &numbers(&[], &[0.01]))
            .initializer("w_q", &byte(&[100, 50]))
            .node("", "DequantizeLinear", &["w_q", "s"], &["w"], &[])
            .node("product", "Mul", &["x", "w"], &["y_in"], &[])
            .node("", "QuantizeLinear", &["y_in", "s"], &["y_q"], &[])
            .node("", "DequantizeLinear", &["y_q", "s"], &["y"], &[])
            .output("y", Dtype::F32, &[1, 2])
            .finish()
            .unwrap();
        let float = Network::new("float")
            .input("x", Dtype::F32, &[1, 2])
            .initializer("w", &numbers(&[2], &[1.0, 0.5]))
            .node("product", "Mul", &["x", "w"], &["y"], &[])
            .output("y", Dtype::F32, &[1, 2])
            .finish()
            .unwrap();
        let pair = QuantisedPair::of(&float, &quantised).unwrap();
        let types: Vec<_> = pair.layers().iter().map(|layer| layer.op_type.as_str()).collect();
        assert_eq!(types, ["Mul", "output"]);
        let mixed = pair.with_float(&[0, 1].into()).unwrap();
        let types: Vec<_> = mixed.nodes().map(|node| node.op_type.to_owned()).collect();
        assert_eq!(types, ["Mul", "Identity"]);
        let kept = mixed.initializers();
        let weight = kept.values().next().unwrap();
        assert_eq!((kept.len(), weight.numbers(1)), (1, vec![1.0, 0.5]));
    }

    #[test]
    fn a_float_network_has_no_layers_to_keep() {
        let float = float();
        assert!(QuantisedPair::of(&float, &float).is_err());
    }
}
