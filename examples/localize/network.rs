//! A network deep enough to get lost in: blocks of attention, convolution and norms, many op types.

use offby::graph::{Attribute, Model, Network};
use offby::inputs::Random;
use offby::tensor::{Dtype, Tensor};

const TOKENS: usize = 16;
const WIDTH: usize = 32;
const BLOCKS: usize = 5;

/// The network; its weights are always the same.
pub(crate) fn deep() -> Model {
    let mut build = Build { network: Network::new("deep"), random: Random::new(7), count: 0 };
    build.network = build.network.input("x", Dtype::F32, &[1, TOKENS, WIDTH]);
    let mut value = "x".to_owned();
    for block in 0..BLOCKS {
        value = build.attention(block, &value);
        value = build.mixer(block, &value);
    }
    let out = build.node("Softplus", &[&value], &[]);
    let network = build.network.node(
        "last",
        "ReduceMean",
        &[&out],
        &["y"],
        &[("axes", Attribute::Ints(vec![1])), ("keepdims", Attribute::Int(0))],
    );
    network.output("y", Dtype::F32, &[1, WIDTH]).finish().expect("the network is complete")
}

struct Build {
    network: Network,
    random: Random,
    count: usize,
}

impl Build {
    /// Adds a node with one output and gives its name.
    fn node(&mut self, op: &str, inputs: &[&str], attributes: &[(&str, Attribute)]) -> String {
        self.count += 1;
        let (name, output) = (format!("{op}_{}", self.count), format!("v{}", self.count));
        let network = std::mem::replace(&mut self.network, Network::new(""));
        self.network = network.node(&name, op, inputs, &[&output], attributes);
        output
    }

    fn weight(&mut self, shape: &[usize], scale: f64) -> String {
        self.count += 1;
        let name = format!("w{}", self.count);
        let count = shape.iter().product();
        let numbers: Vec<f32> = (0..count).map(|_| (self.random.normal() * scale) as f32).collect();
        let tensor = Tensor::from_f32(shape, numbers).expect("as many numbers as the shape needs");
        let network = std::mem::replace(&mut self.network, Network::new(""));
        self.network = network.initializer(&name, &tensor);
        name
    }

    fn longs(&mut self, numbers: &[i64]) -> String {
        self.count += 1;
        let name = format!("s{}", self.count);
        let bytes: Vec<u8> = numbers.iter().flat_map(|n| n.to_le_bytes()).collect();
        let tensor = Tensor::from_bytes(Dtype::I64, &[numbers.len()], &bytes)
            .expect("eight bytes for each number");
        let network = std::mem::replace(&mut self.network, Network::new(""));
        self.network = network.initializer(&name, &tensor);
        name
    }

    fn linear(&mut self, value: &str, from: usize, to: usize) -> String {
        let weight = self.weight(&[from, to], 1.0 / (from as f64).sqrt());
        let bias = self.weight(&[to], 0.1);
        let product = self.node("MatMul", &[value, &weight], &[]);
        self.node("Add", &[&product, &bias], &[])
    }

    /// Attention with a bias of lower rank, and a skip connection.
    fn attention(&mut self, block: usize, value: &str) -> String {
        let heads = 4;
        let depth = WIDTH / heads;
        let mut parts = Vec::new();
        for _ in 0..3 {
            let part = self.linear(value, WIDTH, WIDTH);
            let shape = self.longs(&[1, TOKENS as i64, heads as i64, depth as i64]);
            let split = self.node("Reshape", &[&part, &shape], &[]);
            let axes = Attribute::Ints(vec![0, 2, 1, 3]);
            parts.push(self.node("Transpose", &[&split], &[("perm", axes)]));
        }
        let turned =
            self.node("Transpose", &[&parts[1]], &[("perm", Attribute::Ints(vec![0, 1, 3, 2]))]);
        let scores = self.node("MatMul", &[&parts[0], &turned], &[]);
        let scale = self.weight(&[1], 0.3);
        let scores = self.node("Mul", &[&scores, &scale], &[]);
        let bias = self.weight(&[heads, TOKENS, TOKENS], 0.5);
        let scores = self.node("Add", &[&scores, &bias], &[]);
        let weights = self.node("Softmax", &[&scores], &[("axis", Attribute::Int(-1))]);
        let mixed = self.node("MatMul", &[&weights, &parts[2]], &[]);
        let axes = Attribute::Ints(vec![0, 2, 1, 3]);
        let mixed = self.node("Transpose", &[&mixed], &[("perm", axes)]);
        let shape = self.longs(&[1, TOKENS as i64, WIDTH as i64]);
        let mixed = self.node("Reshape", &[&mixed, &shape], &[]);
        let mixed = self.linear(&mixed, WIDTH, WIDTH);
        let gate = if block.is_multiple_of(2) { "Tanh" } else { "Sigmoid" };
        let gated = self.node(gate, &[&mixed], &[]);
        self.node("Add", &[value, &gated], &[])
    }

    /// Convolution, norms, a concatenation and a GELU, and a skip connection.
    fn mixer(&mut self, block: usize, value: &str) -> String {
        let turned = self.node("Transpose", &[value], &[("perm", Attribute::Ints(vec![0, 2, 1]))]);
        let side = (TOKENS as f64).sqrt() as i64;
        let shape = self.longs(&[1, WIDTH as i64, side, side]);
        let map = self.node("Reshape", &[&turned, &shape], &[]);
        let kernel = self.weight(&[WIDTH, WIDTH, 3, 3], 0.06);
        let pads = ("pads", Attribute::Ints(vec![1, 1, 1, 1]));
        let conv = self.node("Conv", &[&map, &kernel], &[pads]);
        let (scale, bias) = (self.weight(&[WIDTH], 1.0), self.weight(&[WIDTH], 0.2));
        let norm = self.node("InstanceNormalization", &[&conv, &scale, &bias], &[]);
        let root = self.weight(&[1], 1.4);
        let part = self.node("Mul", &[&norm, &root], &[]);
        let part = self.node("Erf", &[&part], &[]);
        let gelu = self.node("Mul", &[&part, &norm], &[]);
        let relu = self.node("Relu", &[&norm], &[]);
        let joined = self.node("Concat", &[&gelu, &relu], &[("axis", Attribute::Int(1))]);
        let narrow = self.weight(&[WIDTH, 2 * WIDTH, 1, 1], 0.12);
        let narrow = self.node("Conv", &[&joined, &narrow], &[]);
        let shape = self.longs(&[1, WIDTH as i64, TOKENS as i64]);
        let flat = self.node("Reshape", &[&narrow, &shape], &[]);
        let mut back =
            self.node("Transpose", &[&flat], &[("perm", Attribute::Ints(vec![0, 2, 1]))]);
        if block.is_multiple_of(2) {
            let sums = self.node(
                "ReduceLogSumExp",
                &[&back],
                &[("axes", Attribute::Ints(vec![2])), ("keepdims", Attribute::Int(1))],
            );
            back = self.node("Sub", &[&back, &sums], &[]);
        }
        self.node("Add", &[value, &back], &[])
    }
}
