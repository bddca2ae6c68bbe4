//! Builds a decoder from its recipe, with the names of inputs and outputs that Hugging Face's exporter gives.

use super::build::{Build, open};
use super::fused;
use super::recipes::{Family, Recipe};
use offby::graph::{Attribute, Dim};
use offby::tensor::Dtype;

/// The base of the rotary frequencies.
const BASE: f64 = 10_000.0;
/// The tokens that learned positions reach.
const POSITIONS: usize = 512;
/// What is added to the scores of tokens that may not be seen; `f16` holds it.
const HIDDEN_SCORE: f32 = -30_000.0;

/// The whole decoder.
pub(crate) fn graph(recipe: &Recipe) -> Build {
    if recipe.family == Family::Fused {
        return fused::graph(recipe);
    }
    let Recipe { width, vocabulary, layers, .. } = *recipe;
    let mut build = Build::new(*recipe);
    let one = Dim::Known(1);
    let sequence = [one.clone(), open("sequence")];
    build.input("input_ids", Dtype::I64, &sequence);
    build.input("position_ids", Dtype::I64, &sequence);
    build.module("/embed");
    let table = build.weight(&[vocabulary, width], 1.0);
    let mut hidden = build.node("Gather", &[&table, "input_ids"], &[]);
    let mut angles = None;
    match recipe.family {
        Family::Llama | Family::Fused => angles = Some(build.rotary()),
        Family::Gpt2 => {
            let table = build.weight(&[POSITIONS, width], 0.1);
            let places = build.node("Gather", &[&table, "position_ids"], &[]);
            hidden = build.node("Add", &[&hidden, &places], &[]);
        }
    }
    let mut mask = None;
    for layer in 0..layers {
        build.module(format!("/layers.{layer}/input_norm"));
        let normed = build.norm(&hidden);
        build.module(format!("/layers.{layer}/attention"));
        let attended = build.attention(layer, &normed, angles.as_ref(), &mut mask);
        hidden = build.node("Add", &[&hidden, &attended], &[]);
        build.module(format!("/layers.{layer}/mlp_norm"));
        let normed = build.norm(&hidden);
        build.module(format!("/layers.{layer}/mlp"));
        let mixed = build.mlp(&normed);
        hidden = build.node("Add", &[&hidden, &mixed], &[]);
    }
    build.module("/norm");
    let last = build.norm(&hidden);
    build.module("/head");
    let head = build.weight(&[width, vocabulary], 1.5 / (width as f64).sqrt());
    let shape = [one, open("sequence"), Dim::Known(vocabulary)];
    build.output("logits", &shape, ("MatMul", &[&last, &head], &[]));
    build
}

/// Cosines and sines of the rotary angles, each `[1, 1, sequence, head / 2]`.
pub(crate) struct Angles {
    cosine: String,
    sine: String,
}

impl Build {
    /// The angle of a pair is the position times the pair's frequency.
    fn rotary(&mut self) -> Angles {
        self.module("/rotary");
        let half = self.recipe.head() / 2;
        let frequency = |pair: usize| BASE.powf(-(pair as f64) / half as f64) as f32;
        let frequencies = (0..half).map(frequency).collect();
        let wide = self.recipe.dtype;
        // Angles are computed in f32, in f16 networks as well: a position times a frequency needs the digits.
        self.recipe.dtype = Dtype::F32;
        let frequencies = self.floats(&[1, 1, 1, half], frequencies);
        self.recipe.dtype = wide;
        let positions = self.node("Cast", &["position_ids"], &[("to", Attribute::Int(1))]);
        let axes = self.ints(&[1, 3]);
        let positions = self.node("Unsqueeze", &[&positions, &axes], &[]);
        let angles = self.node("Mul", &[&positions, &frequencies], &[]);
        let [cosine, sine] = ["Cos", "Sin"].map(|op| {
            let value = self.node(op, &[&angles], &[]);
            match wide {
                Dtype::F16 => self.node("Cast", &[&value], &[("to", Attribute::Int(10))]),
                _ => value,
            }
        });
        Angles { cosine, sine }
    }

    fn norm(&mut self, value: &str) -> String {
        let width = self.recipe.width;
        let scale = self.floats(&[width], vec![1.0; width]);
        if self.recipe.family == Family::Gpt2 {
            let bias = self.floats(&[width], vec![0.0; width]);
            let attributes = [("axis", Attribute::Int(-1)), ("epsilon", Attribute::Float(1e-5))];
            return self.node("LayerNormalization", &[value, &scale, &bias], &attributes);
        }
        let square = self.node("Mul", &[value, value], &[]);
        let mean = self.node("ReduceMean", &[&square], &[("axes", Attribute::Ints(vec![-1]))]);
        let epsilon = self.number(1e-5);
        let mean = self.node("Add", &[&mean, &epsilon], &[]);
        let root = self.node("Sqrt", &[&mean], &[]);
        let normed = self.node("Div", &[value, &root], &[]);
        self.node("Mul", &[&normed, &scale], &[])
    }

    /// A matrix product with weights, and with a bias if the family has biases.
    fn linear(&mut self, value: &str, shape: [usize; 2]) -> String {
        let weight = self.weight(&shape, 1.0 / (shape[0] as f64).sqrt());
        let product = self.node("MatMul", &[value, &weight], &[]);
        if self.recipe.family == Family::Llama {
            return product;
        }
        let bias = self.weight(&shape[1..], 0.02);
        self.node("Add", &[&product, &bias], &[])
    }

    /// `[1, sequence, heads * head]` as `[1, heads, sequence, head]`.
    fn in_heads(&mut self, value: &str, heads: usize) -> String {
        let shape = self.ints(&[0, 0, heads as i64, self.recipe.head() as i64]);
        let split = self.node("Reshape", &[value, &shape], &[]);
        self.node("Transpose", &[&split], &[("perm", Attribute::Ints(vec![0, 2, 1, 3]))])
    }

    /// Turns each pair of elements by its angle; a pair is an element and the one half a head further.
    fn turned(&mut self, value: &str, angles: &Angles) -> String {
        let half = (self.recipe.head() / 2) as i64;
        let sizes = self.ints(&[half, half]);
        let parts = self.nodes("Split", &[value, &sizes], 2, &[("axis", Attribute::Int(-1))]);
        let mut times = |part: &str, factor: &str| self.node("Mul", &[part, factor], &[]);
        let (near, far) = (times(&parts[0], &angles.cosine), times(&parts[1], &angles.sine));
        let (other, more) = (times(&parts[1], &angles.cosine), times(&parts[0], &angles.sine));
        let first = self.node("Sub", &[&near, &far], &[]);
        let second = self.node("Add", &[&other, &more], &[]);
        self.node("Concat", &[&first, &second], &[("axis", Attribute::Int(-1))])
    }

    fn attention(
        &mut self,
        layer: usize,
        value: &str,
        angles: Option<&Angles>,
        mask: &mut Option<String>,
    ) -> String {
        let Recipe { width, heads, kv_heads, .. } = self.recipe;
        let head = self.recipe.head();
        let query = self.linear(value, [width, width]);
        let mut query = self.in_heads(&query, heads);
        let key = self.linear(value, [width, kv_heads * head]);
        let mut key = self.in_heads(&key, kv_heads);
        let content = self.linear(value, [width, kv_heads * head]);
        let content = self.in_heads(&content, kv_heads);
        if let Some(angles) = angles {
            query = self.turned(&query, angles);
            key = self.turned(&key, angles);
        }
        let (key, content) = self.with_past(layer, key, content);
        let mask = match mask {
            Some(mask) => mask.clone(),
            None => mask.insert(self.mask(&key)).clone(),
        };
        let [key, content] = [key, content].map(|shared| self.for_each_head(&shared));
        let turned =
            self.node("Transpose", &[&key], &[("perm", Attribute::Ints(vec![0, 1, 3, 2]))]);
        let scores = self.node("MatMul", &[&query, &turned], &[]);
        let scale = self.number(1.0 / (head as f32).sqrt());
        let scores = self.node("Mul", &[&scores, &scale], &[]);
        let scores = self.node("Add", &[&scores, &mask], &[]);
        let weights = self.node("Softmax", &[&scores], &[("axis", Attribute::Int(-1))]);
        let attended = self.node("MatMul", &[&weights, &content], &[]);
        let attended =
            self.node("Transpose", &[&attended], &[("perm", Attribute::Ints(vec![0, 2, 1, 3]))]);
        let shape = self.ints(&[0, 0, width as i64]);
        let joined = self.node("Reshape", &[&attended, &shape], &[]);
        self.linear(&joined, [width, width])
    }

    /// Keys and values after those of the earlier tokens; both are outputs.
    fn with_past(&mut self, layer: usize, key: String, content: String) -> (String, String) {
        if !self.recipe.has_cache {
            return (key, content);
        }
        let shape = |length| {
            let [heads, head] = [self.recipe.kv_heads, self.recipe.head()].map(Dim::Known);
            [Dim::Known(1), heads, open(length), head]
        };
        let [past, total] = [shape("past"), shape("total")];
        let dtype = self.recipe.dtype;
        let [key, content] = [("key", key), ("value", content)].map(|(part, new)| {
            let input = format!("past_key_values.{layer}.{part}");
            let output = format!("present.{layer}.{part}");
            self.input(&input, dtype, &past);
            let axis = [("axis", Attribute::Int(2))];
            self.output(&output, &total, ("Concat", &[&input, &new], &axis));
            output
        });
        (key, content)
    }

    /// Shared keys or values, once for each head.
    fn for_each_head(&mut self, shared: &str) -> String {
        let Recipe { heads, kv_heads, .. } = self.recipe;
        if heads == kv_heads {
            return shared.to_owned();
        }
        let group = heads / kv_heads;
        let order: Vec<i64> = (0..heads).map(|head| (head / group) as i64).collect();
        let order = self.ints(&order);
        self.node("Gather", &[shared, &order], &[("axis", Attribute::Int(1))])
    }

    /// What is added to scores: a token sees itself and earlier tokens, at most those in the window.
    fn mask(&mut self, key: &str) -> String {
        let shape = self.node("Shape", &[key], &[]);
        let (axis, zero, one) = (self.int(2), self.int(0), self.int(1));
        let total = self.node("Gather", &[&shape, &axis], &[]);
        let places = self.node("Range", &[&zero, &total, &one], &[]);
        let places = self.node("Cast", &[&places], &[("to", Attribute::Int(1))]);
        let own = self.node("Cast", &["position_ids"], &[("to", Attribute::Int(1))]);
        let axes = self.ints(&[1, 3]);
        let own = self.node("Unsqueeze", &[&own, &axes], &[]);
        let ahead = self.node("Greater", &[&places, &own], &[]);
        let mut hidden = ahead;
        if let Some(window) = self.recipe.window {
            let wide = std::mem::replace(&mut self.recipe.dtype, Dtype::F32);
            let window = self.number(window as f32);
            self.recipe.dtype = wide;
            let least = self.node("Sub", &[&own, &window], &[]);
            let behind = self.node("LessOrEqual", &[&places, &least], &[]);
            hidden = self.node("Or", &[&hidden, &behind], &[]);
        }
        let (out, seen) = (self.number(HIDDEN_SCORE), self.number(0.0));
        self.node("Where", &[&hidden, &out, &seen], &[])
    }

    fn mlp(&mut self, value: &str) -> String {
        let Recipe { width, hidden, family, .. } = self.recipe;
        if family == Family::Gpt2 {
            let wide = self.linear(value, [width, hidden]);
            let active = self.gelu(&wide);
            return self.linear(&active, [hidden, width]);
        }
        let gate = self.linear(value, [width, hidden]);
        let sigmoid = self.node("Sigmoid", &[&gate], &[]);
        let gate = self.node("Mul", &[&gate, &sigmoid], &[]);
        let up = self.linear(value, [width, hidden]);
        let both = self.node("Mul", &[&gate, &up], &[]);
        self.linear(&both, [hidden, width])
    }

    /// GELU by its tanh.
    fn gelu(&mut self, value: &str) -> String {
        let square = self.node("Mul", &[value, value], &[]);
        let cube = self.node("Mul", &[&square, value], &[]);
        let small = self.number(0.044_715);
        let cube = self.node("Mul", &[&cube, &small], &[]);
        let sum = self.node("Add", &[value, &cube], &[]);
        let root = self.number(0.797_884_6);
        let inner = self.node("Mul", &[&sum, &root], &[]);
        let tanh = self.node("Tanh", &[&inner], &[]);
        let (one, half) = (self.number(1.0), self.number(0.5));
        let factor = self.node("Add", &[&tanh, &one], &[]);
        let product = self.node("Mul", &[value, &factor], &[]);
        self.node("Mul", &[&product, &half], &[])
    }
}
