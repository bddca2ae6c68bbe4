//! Confusing networks: blocks of attention, convolution and norms, many op types; deep or short, with outlier
//! channels, large or tiny values, 16-bit numbers, or an `If`.

use offby::graph::{Attribute, Model, Network};
use offby::inputs::Random;
use offby::tensor::{Dtype, Tensor, narrowed};

const WIDTH: usize = 32;

/// The properties of a network.
#[derive(Clone, Copy)]
struct Recipe {
    name: &'static str,
    seed: u64,
    /// The number of tokens, a square number.
    tokens: usize,
    blocks: usize,
    /// The element type of the file.
    dtype: Dtype,
    /// The factor for all values at the start.
    scale: f64,
    /// An additional factor for one channel.
    outlier: f64,
    /// Whether an `If` chooses between two bodies.
    choice: bool,
}

const DEEP: Recipe = Recipe {
    name: "deep",
    seed: 7,
    tokens: 16,
    blocks: 5,
    dtype: Dtype::F32,
    scale: 1.0,
    outlier: 1.0,
    choice: false,
};

/// The networks; their weights are always the same.
pub(crate) fn networks() -> Vec<Model> {
    let short = Recipe { name: "short", blocks: 1, ..DEEP };
    let kinds = [
        Recipe { name: "small", tokens: 4, ..short },
        Recipe { name: "long", tokens: 64, ..short },
        Recipe { name: "outlier", outlier: 1000.0, ..short },
        Recipe { name: "large", scale: 50_000.0, ..short },
        Recipe { name: "tiny", scale: 1e-3, ..short },
        Recipe { name: "half", dtype: Dtype::F16, ..short },
        Recipe { name: "brain", dtype: Dtype::Bf16, ..short },
        Recipe { name: "choice", choice: true, ..short },
    ];
    let seeds = [11, 12, 13];
    let many = kinds.iter().flat_map(|kind| seeds.map(|seed| Recipe { seed, ..*kind }));
    std::iter::once(DEEP).chain(many).map(built).collect()
}

fn built(recipe: Recipe) -> Model {
    let random = Random::new(recipe.seed);
    let mut build = Build { network: Network::new(recipe.name), random, count: 0, recipe };
    let shape = [1, recipe.tokens, WIDTH];
    build.network = build.network.input("x", recipe.dtype, &shape);
    let mut value = "x".to_owned();
    if recipe.scale != 1.0 || recipe.outlier != 1.0 {
        let mut scales = vec![recipe.scale as f32; WIDTH];
        scales[WIDTH / 3] *= recipe.outlier as f32;
        let scales = build.stored(&[WIDTH], scales);
        value = build.node("Mul", &[&value, &scales], &[]);
    }
    for block in 0..recipe.blocks {
        value = build.attention(block, &value);
        value = build.mixer(block, &value);
    }
    if recipe.choice {
        value = build.choose(&value);
    }
    let out = build.node("Softplus", &[&value], &[]);
    let network = build.network.node(
        "last",
        "ReduceMean",
        &[&out],
        &["y"],
        &[("axes", Attribute::Ints(vec![1])), ("keepdims", Attribute::Int(0))],
    );
    network.output("y", recipe.dtype, &[1, WIDTH]).finish().expect("the network is complete")
}

struct Build {
    network: Network,
    random: Random,
    count: usize,
    recipe: Recipe,
}

impl Build {
    /// Adds a node with one output and returns the output's name.
    fn node(&mut self, op: &str, inputs: &[&str], attributes: &[(&str, Attribute)]) -> String {
        self.count += 1;
        let (name, output) = (format!("{op}_{}", self.count), format!("v{}", self.count));
        let network = std::mem::replace(&mut self.network, Network::new(""));
        self.network = network.node(&name, op, inputs, &[&output], attributes);
        output
    }

    fn weight(&mut self, shape: &[usize], scale: f64) -> String {
        let count = shape.iter().product();
        let numbers: Vec<f32> = (0..count).map(|_| (self.random.normal() * scale) as f32).collect();
        self.stored(shape, numbers)
    }

    /// Numbers as an initializer of the file's element type.
    fn stored(&mut self, shape: &[usize], numbers: Vec<f32>) -> String {
        self.count += 1;
        let name = format!("w{}", self.count);
        let wide = Tensor::from_f32(shape, numbers).expect("as many numbers as the shape needs");
        let tensor = narrowed(wide, self.recipe.dtype);
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

    /// An `If` whose bodies scale and shift a value.
    fn choose(&mut self, value: &str) -> String {
        self.count += 1;
        let (name, output) = (format!("If_{}", self.count), format!("v{}", self.count));
        let yes = Tensor::from_bytes(Dtype::Bool, &[], &[1]).expect("one byte");
        let (factor, summand) = (self.weight(&[WIDTH], 1.0), self.weight(&[WIDTH], 1.0));
        let shape = [1, self.recipe.tokens, WIDTH];
        let body = |name: &str, op: &str, other: &str| {
            Network::new(name)
                .node(&format!("{name}_{op}"), op, &[value, other], &[&format!("{name}_y")], &[])
                .output(&format!("{name}_y"), self.recipe.dtype, &shape)
        };
        let bodies = [body("yes", "Mul", &factor), body("no", "Add", &summand)];
        let network = std::mem::replace(&mut self.network, Network::new(""));
        let network = network.initializer("asked", &yes);
        self.network = network.choice(&name, "asked", &output, bodies);
        output
    }

    fn linear(&mut self, value: &str, from: usize, to: usize) -> String {
        let weight = self.weight(&[from, to], 1.0 / (from as f64).sqrt());
        let bias = self.weight(&[to], 0.1);
        let product = self.node("MatMul", &[value, &weight], &[]);
        self.node("Add", &[&product, &bias], &[])
    }

    /// Attention with a bias of lower rank, and a skip connection.
    fn attention(&mut self, block: usize, value: &str) -> String {
        let (heads, tokens) = (4, self.recipe.tokens);
        let depth = WIDTH / heads;
        let mut parts = Vec::new();
        for _ in 0..3 {
            let part = self.linear(value, WIDTH, WIDTH);
            let shape = self.longs(&[1, tokens as i64, heads as i64, depth as i64]);
            let split = self.node("Reshape", &[&part, &shape], &[]);
            let axes = Attribute::Ints(vec![0, 2, 1, 3]);
            parts.push(self.node("Transpose", &[&split], &[("perm", axes)]));
        }
        let turned =
            self.node("Transpose", &[&parts[1]], &[("perm", Attribute::Ints(vec![0, 1, 3, 2]))]);
        let scores = self.node("MatMul", &[&parts[0], &turned], &[]);
        let scale = self.weight(&[1], 0.3);
        let scores = self.node("Mul", &[&scores, &scale], &[]);
        let bias = self.weight(&[heads, tokens, tokens], 0.5);
        let scores = self.node("Add", &[&scores, &bias], &[]);
        let weights = self.node("Softmax", &[&scores], &[("axis", Attribute::Int(-1))]);
        let mixed = self.node("MatMul", &[&weights, &parts[2]], &[]);
        let axes = Attribute::Ints(vec![0, 2, 1, 3]);
        let mixed = self.node("Transpose", &[&mixed], &[("perm", axes)]);
        let shape = self.longs(&[1, tokens as i64, WIDTH as i64]);
        let mixed = self.node("Reshape", &[&mixed, &shape], &[]);
        let mixed = self.linear(&mixed, WIDTH, WIDTH);
        let gate = if block.is_multiple_of(2) { "Tanh" } else { "Sigmoid" };
        let gated = self.node(gate, &[&mixed], &[]);
        self.node("Add", &[value, &gated], &[])
    }

    /// Convolution, norms, a concatenation and a GELU, and a skip connection.
    fn mixer(&mut self, block: usize, value: &str) -> String {
        let tokens = self.recipe.tokens;
        let turned = self.node("Transpose", &[value], &[("perm", Attribute::Ints(vec![0, 2, 1]))]);
        let side = (tokens as f64).sqrt() as i64;
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
        let shape = self.longs(&[1, WIDTH as i64, tokens as i64]);
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
