//! Random networks: every kind of value that a cut may meet, from genes that proptest can shrink.
#![allow(dead_code, reason = "every test file uses a part of it")]

use offby::graph::{Attribute, Model, Network};
use offby::tensor::{Dtype, Tensor};
use std::collections::BTreeSet;

/// The choices of a gene: the operator, and the values that it reads.
pub(crate) type Gene = (u8, usize, usize);

/// A value and its known properties.
#[derive(Debug, Clone)]
pub(crate) struct Value {
    pub(crate) name: String,
    pub(crate) dtype: Dtype,
    pub(crate) shape: Vec<usize>,
    /// The node that computes the value.
    pub(crate) node: Option<usize>,
}

/// A network, and the facts about it that a test needs without reading ONNX.
pub(crate) struct RandomNetwork {
    network: Network,
    pub(crate) values: Vec<Value>,
    /// The values that each node reads.
    reads: Vec<Vec<usize>>,
}

const FULL: [usize; 2] = [4, 4];
const HALF: [usize; 2] = [2, 4];

impl RandomNetwork {
    pub(crate) fn new(genes: &[Gene]) -> Self {
        let mut made = RandomNetwork { network: start(), values: Vec::new(), reads: Vec::new() };
        for name in ["x", "in::put/2", "c", "/c/0"] {
            made.add(name.to_owned(), Dtype::F32, &FULL, None);
        }
        genes.iter().for_each(|gene| made.grow(*gene));
        made
    }

    /// The network whose outputs are the last value, and every fifth.
    pub(crate) fn model(&self) -> Model {
        let last = self.values.len() - 1;
        self.with_outputs(|at, _| at == last || at % 5 == 0)
    }

    /// The same network, with every computed value as an output.
    pub(crate) fn observed(&self) -> Model {
        self.with_outputs(|_, _| true)
    }

    /// The values that some node computes.
    pub(crate) fn computed(&self) -> Vec<&Value> {
        self.values.iter().filter(|value| value.node.is_some()).collect()
    }

    /// The nodes needed for `to`, if tracing back stops at `stops`, and the values that they read.
    pub(crate) fn needed(
        &self,
        to: &[String],
        stops: &BTreeSet<String>,
    ) -> (BTreeSet<usize>, BTreeSet<String>) {
        let named = |name: &String| self.values.iter().find(|value| value.name == *name);
        let mut open: Vec<usize> = to.iter().filter_map(|name| named(name)?.node).collect();
        let (mut nodes, mut read) = (BTreeSet::new(), BTreeSet::new());
        while let Some(node) = open.pop() {
            nodes.insert(node);
            for value in self.reads[node].iter().map(|&at| &self.values[at]) {
                read.insert(value.name.clone());
                let through = value.node.filter(|_| !stops.contains(&value.name));
                open.extend(through.filter(|node| !nodes.contains(node)));
            }
        }
        (nodes, read)
    }

    fn with_outputs(&self, wanted: impl Fn(usize, &Value) -> bool) -> Model {
        let computed = self.values.iter().enumerate().filter(|(_, value)| value.node.is_some());
        let outputs = computed.filter(|(at, value)| wanted(*at, value));
        let whole = outputs.fold(self.network.clone(), |network, (_, value)| {
            network.output(&value.name, value.dtype, &value.shape)
        });
        // A network needs an output, no matter which genes it has.
        let last = self.values.last().expect("there are inputs");
        match whole.clone().finish() {
            Ok(model) => model,
            Err(_) => whole.output(&last.name, last.dtype, &last.shape).finish().expect("sound"),
        }
    }

    fn add(&mut self, name: String, dtype: Dtype, shape: &[usize], node: Option<usize>) -> String {
        self.values.push(Value { name: name.clone(), dtype, shape: shape.to_vec(), node });
        name
    }

    /// A new value of the next node, oddly named.
    fn fresh(&mut self, dtype: Dtype, shape: &[usize]) -> String {
        let at = self.values.len();
        let name = match at % 5 {
            0 => format!("model::layer::{at}"),
            1 => format!("/blocks.{at}/Op_output_0"),
            2 => format!("{at}"),
            3 => format!("größe {at}"),
            _ => format!("v{at}=a,b"),
        };
        self.add(name, dtype, shape, Some(self.reads.len()))
    }

    /// The `choice`-th float value, of the given shape if there is one.
    fn pick(&self, choice: usize, shape: Option<&[usize]>) -> Option<usize> {
        let fits = |value: &Value| {
            value.dtype == Dtype::F32 && shape.is_none_or(|shape| value.shape == shape)
        };
        let fitting: Vec<usize> =
            (0..self.values.len()).filter(|&at| fits(&self.values[at])).collect();
        (!fitting.is_empty()).then(|| fitting[choice % fitting.len()])
    }

    fn grow(&mut self, (op, first, second): Gene) {
        let a = self.pick(first, None).expect("the inputs are floats");
        let shape = self.values[a].shape.clone();
        let b = self.pick(second, Some(&shape)).expect("a itself has its shape");
        let full = self.pick(second, Some(&FULL)).expect("the inputs are full");
        let half = self.pick(first, Some(&HALF)).zip(self.pick(second, Some(&HALF)));
        match (op % 12, half) {
            (0, _) => self.node("Relu", &[a], &shape, &[]),
            (1, _) => self.node("Tanh", &[a], &shape, &[]),
            (2, _) => self.node("Identity", &[a], &shape, &[]),
            (3, _) => self.node("Add", &[a, b], &shape, &[]),
            (4, _) => self.node("Mul", &[a, b], &shape, &[]),
            (5, _) => self.node("MatMul", &[a, full], &shape, &[]),
            (6, _) => self.split(full),
            (7, Some((a, b))) => {
                self.node("Concat", &[a, b], &FULL, &[("axis", Attribute::Int(0))]);
            }
            (8, _) => {
                let value = Attribute::Tensor(tensor(first % 7));
                self.node("Constant", &[], &FULL, &[("value", value)]);
            }
            (9, _) => self.clip(a),
            (10, _) => self.top(a),
            _ => self.node("Sum", &[a, b, a], &shape, &[]),
        }
    }

    fn node(
        &mut self,
        op: &str,
        inputs: &[usize],
        shape: &[usize],
        attributes: &[(&str, Attribute)],
    ) {
        let output = self.fresh(Dtype::F32, shape);
        let names: Vec<String> = inputs.iter().map(|&at| self.values[at].name.clone()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        self.push(op, &names, inputs, &[&output], attributes);
    }

    fn split(&mut self, from: usize) {
        let source = self.values[from].name.clone();
        let parts = [self.fresh(Dtype::F32, &HALF), self.fresh(Dtype::F32, &HALF)];
        self.push(
            "Split",
            &[&source],
            &[from],
            &[&parts[0], &parts[1]],
            &[("axis", Attribute::Int(0))],
        );
    }

    /// Omits an optional input in the middle.
    fn clip(&mut self, from: usize) {
        let (source, shape) = (self.values[from].name.clone(), self.values[from].shape.clone());
        let output = self.fresh(Dtype::F32, &shape);
        self.push("Clip", &[&source, "", "limit"], &[from], &[&output], &[]);
    }

    /// Two outputs of different types.
    fn top(&mut self, from: usize) {
        let (source, shape) = (self.values[from].name.clone(), self.values[from].shape.clone());
        let values = self.fresh(Dtype::F32, &shape);
        let indices = self.fresh(Dtype::I64, &shape);
        self.push("TopK", &[&source, "four"], &[from], &[&values, &indices], &[]);
    }

    fn push(
        &mut self,
        op: &str,
        inputs: &[&str],
        reads: &[usize],
        outputs: &[&str],
        attributes: &[(&str, Attribute)],
    ) {
        // The node has no name, a value's name, or its own name. tract wants unique names.
        let index = self.reads.len();
        let name = match index % 3 {
            0 => String::new(),
            1 => outputs[outputs.len() - 1].to_owned(),
            _ => format!("/node::{index}"),
        };
        self.network = self.network.clone().node(&name, op, inputs, outputs, attributes);
        self.reads.push(reads.to_vec());
    }
}

/// Two inputs, and constants that are used, used by some operators only, or not at all.
fn start() -> Network {
    let scalar = Tensor::from_f32(&[], vec![0.75]).expect("one element");
    let four = Tensor::from_bytes(Dtype::I64, &[1], &4_i64.to_le_bytes()).expect("one element");
    Network::new("random")
        .input("x", Dtype::F32, &FULL)
        .input("in::put/2", Dtype::F32, &FULL)
        .initializer("c", &tensor(1))
        .initializer("/c/0", &tensor(2))
        .initializer("dangling", &tensor(3))
        .initializer("limit", &scalar)
        .initializer("four", &four)
}

/// Numbers from -1 to 1, different for each seed.
pub(crate) fn tensor(seed: usize) -> Tensor {
    let numbers = (0..16).map(|i| ((i * 7 + seed * 5) % 23) as f32 / 11.5 - 1.0);
    Tensor::from_f32(&FULL, numbers.collect()).expect("16 elements")
}
