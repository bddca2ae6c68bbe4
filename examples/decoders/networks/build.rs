//! A network under construction: nodes are named after their module, weights come from the recipe's seed.

use super::recipes::{Recipe, Weights};
use offby::graph::{Attribute, Dim, Network};
use offby::inputs::Random;
use offby::tensor::{Dtype, Tensor, narrowed};

/// One step of `int8`: weights lie within three standard deviations.
const STEPS: f64 = 127.0 / 3.0;

/// A network under construction.
pub(crate) struct Build {
    network: Network,
    random: Random,
    pub(crate) recipe: Recipe,
    /// The module of the next nodes, such as `/layers.0/attention`.
    module: String,
    count: usize,
    /// Weights that are written next to the network: names, shapes and scales.
    pub(crate) external: Vec<(String, Vec<usize>, f64)>,
}

impl Build {
    pub(crate) fn new(recipe: Recipe) -> Self {
        Build {
            network: Network::new(recipe.name).opset(17),
            random: Random::new(recipe.seed),
            recipe,
            module: String::new(),
            count: 0,
            external: Vec::new(),
        }
    }

    pub(crate) fn module(&mut self, module: impl Into<String>) {
        self.module = module.into();
    }

    pub(crate) fn input(&mut self, name: &str, dtype: Dtype, shape: &[Dim]) {
        self.change(|network| network.open_input(name, dtype, shape));
    }

    /// Adds a node that writes an output of the network.
    pub(crate) fn output(
        &mut self,
        name: &str,
        shape: &[Dim],
        (op, inputs, attributes): (&str, &[&str], &[(&str, Attribute)]),
    ) {
        self.count += 1;
        let dtype = self.recipe.dtype;
        let node = format!("{}/{op}_{}", self.module, self.count);
        self.change(|network| {
            network.node(&node, op, inputs, &[name], attributes).open_output(name, dtype, shape)
        });
    }

    /// Adds a node with one output, and returns the output's name.
    pub(crate) fn node(
        &mut self,
        op: &str,
        inputs: &[&str],
        attributes: &[(&str, Attribute)],
    ) -> String {
        self.nodes(op, inputs, 1, attributes).remove(0)
    }

    /// Adds a node with several outputs.
    pub(crate) fn nodes(
        &mut self,
        op: &str,
        inputs: &[&str],
        outputs: usize,
        attributes: &[(&str, Attribute)],
    ) -> Vec<String> {
        self.count += 1;
        let name = format!("{}/{op}_{}", self.module, self.count);
        let written: Vec<String> = (0..outputs).map(|at| format!("{name}_{at}")).collect();
        let names: Vec<&str> = written.iter().map(String::as_str).collect();
        self.change(|network| network.node(&name, op, inputs, &names, attributes));
        written
    }

    /// Adds a node of ONNX Runtime's own operators. An output without a name gets one if it is the first.
    pub(crate) fn fused(
        &mut self,
        op: &str,
        inputs: &[&str],
        outputs: &[&str],
        attributes: &[(&str, Attribute)],
    ) -> Vec<String> {
        self.count += 1;
        let name = format!("{}/{op}_{}", self.module, self.count);
        let is_output = |given: &str| given.starts_with("present");
        let named = |(at, given): (usize, &&str)| match (at, *given) {
            (0, "") => format!("{name}_0"),
            (_, "") => String::new(),
            (_, given) if is_output(given) => given.to_owned(),
            (_, given) => format!("{name}_{given}"),
        };
        let written: Vec<String> = outputs.iter().enumerate().map(named).collect();
        let names: Vec<&str> = written.iter().map(String::as_str).collect();
        self.change(|network| {
            network.node(&name, op, inputs, &names, attributes).of_domain("com.microsoft")
        });
        written
    }

    /// Weights of 4 bits, two in a byte, and the scale of each block.
    pub(crate) fn four_bits(&mut self, shape: [usize; 3], scale: f64) -> (String, String) {
        let [rows, blocks, block] = shape;
        let mut integer = || (self.random.normal() * 7.0 / 3.0).round().clamp(-8.0, 7.0) as i8 + 8;
        let bytes: Vec<u8> = (0..rows * blocks * block / 2)
            .map(|_| integer() as u8 | (integer() as u8) << 4)
            .collect();
        let packed = Tensor::from_bytes(Dtype::U8, &[rows, blocks, block / 2], &bytes);
        let packed = self.store(&packed.expect("half a byte for each weight"));
        let step = (scale * 3.0 / 7.0) as f32;
        (packed, self.floats(&[rows * blocks], vec![step; rows * blocks]))
    }

    /// A matrix of normal numbers.
    pub(crate) fn weight(&mut self, shape: &[usize], scale: f64) -> String {
        let name = self.name("weight");
        match self.recipe.weights {
            Weights::External => {
                self.external.push((name.clone(), shape.to_vec(), scale));
                name
            }
            Weights::Int8 if shape.len() == 2 => self.quantised(shape, scale),
            _ => {
                let count = shape.iter().product();
                let numbers = (0..count).map(|_| (self.random.normal() * scale) as f32).collect();
                self.floats(shape, numbers)
            }
        }
    }

    /// The same as `int8` and a scale.
    fn quantised(&mut self, shape: &[usize], scale: f64) -> String {
        let count: usize = shape.iter().product();
        let bytes: Vec<u8> = (0..count)
            .map(|_| (self.random.normal() * STEPS).round().clamp(-127.0, 127.0) as i8 as u8)
            .collect();
        let stored = Tensor::from_bytes(Dtype::I8, shape, &bytes).expect("a byte for each weight");
        let zero = Tensor::from_bytes(Dtype::I8, &[], &[0]).expect("one byte");
        let [stored, zero] = [stored, zero].map(|tensor| self.store(&tensor));
        let step = self.floats(&[], vec![(scale / STEPS) as f32]);
        self.node("DequantizeLinear", &[&stored, &step, &zero], &[])
    }

    /// Numbers in the element type of the network.
    pub(crate) fn floats(&mut self, shape: &[usize], numbers: Vec<f32>) -> String {
        let bytes: Vec<u8> =
            numbers.iter().flat_map(|&number| f64::from(number).to_le_bytes()).collect();
        let wide = Tensor::from_bytes(Dtype::F64, shape, &bytes).expect("eight bytes each");
        self.store(&narrowed(wide, self.recipe.dtype))
    }

    pub(crate) fn number(&mut self, number: f32) -> String {
        self.floats(&[], vec![number])
    }

    pub(crate) fn ints(&mut self, numbers: &[i64]) -> String {
        self.shaped_ints(&[numbers.len()], numbers)
    }

    pub(crate) fn int(&mut self, number: i64) -> String {
        self.shaped_ints(&[], &[number])
    }

    fn shaped_ints(&mut self, shape: &[usize], numbers: &[i64]) -> String {
        let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        let tensor = Tensor::from_bytes(Dtype::I64, shape, &bytes).expect("eight bytes each");
        self.store(&tensor)
    }

    fn store(&mut self, tensor: &Tensor) -> String {
        let name = self.name("constant");
        self.change(|network| network.initializer(&name, tensor));
        name
    }

    fn name(&mut self, what: &str) -> String {
        self.count += 1;
        format!("{}/{what}_{}", self.module.trim_start_matches('/'), self.count)
    }

    pub(crate) fn change(&mut self, change: impl FnOnce(Network) -> Network) {
        let network = std::mem::replace(&mut self.network, Network::new(""));
        self.network = change(network);
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        self.network.to_bytes()
    }
}

/// An open dimension.
pub(crate) fn open(symbol: &str) -> Dim {
    Dim::Symbol(symbol.to_owned())
}
