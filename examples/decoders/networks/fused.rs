//! A decoder in ONNX Runtime's own operators, as its exporters of language models write them: GroupQueryAttention with
//! rotary tables, SkipSimplifiedLayerNormalization, and MatMulNBits with weights of 4 bits.

use super::build::{Build, open};
use super::recipes::Recipe;
use offby::graph::{Attribute, Dim};
use offby::tensor::Dtype;

/// The base of the rotary frequencies.
const BASE: f64 = 10_000.0;
/// The rows of the rotary tables.
const POSITIONS: usize = 512;
const EPSILON: (&str, Attribute) = ("epsilon", Attribute::Float(1e-5));

/// The whole decoder.
pub(crate) fn graph(recipe: &Recipe) -> Build {
    let Recipe { width, vocabulary, layers, .. } = *recipe;
    let mut build = Build::new(*recipe);
    let one = Dim::Known(1);
    build.input("input_ids", Dtype::I64, &[one.clone(), open("sequence")]);
    build.input("attention_mask", Dtype::I64, &[one.clone(), open("total")]);
    build.module("/embed");
    let table = build.weight(&[vocabulary, width], 1.0);
    let mut hidden = build.node("Gather", &[&table, "input_ids"], &[]);
    let shared = build.shared();
    build.module("/layers.0/input_norm");
    let scale = build.floats(&[width], vec![1.0; width]);
    let axis = ("axis", Attribute::Int(-1));
    let mut normed =
        build.node("SimplifiedLayerNormalization", &[&hidden, &scale], &[axis, EPSILON]);
    for layer in 0..layers {
        build.module(format!("/layers.{layer}/attention"));
        let attended = build.group_query(layer, &normed, &shared);
        build.module(format!("/layers.{layer}/mlp_norm"));
        (normed, hidden) = build.skip_norm(&hidden, &attended);
        build.module(format!("/layers.{layer}/mlp"));
        let mixed = build.gated(&normed);
        build.module(format!("/layers.{layer}/next_norm"));
        (normed, hidden) = build.skip_norm(&hidden, &mixed);
    }
    build.module("/head");
    let head = build.weight(&[width, vocabulary], 1.5 / (width as f64).sqrt());
    let shape = [one, open("sequence"), Dim::Known(vocabulary)];
    build.output("logits", &shape, ("MatMul", &[&normed, &head], &[]));
    build
}

/// What all attentions read.
struct Shared {
    lengths: String,
    total: String,
    cosine: String,
    sine: String,
}

impl Build {
    fn shared(&mut self) -> Shared {
        self.module("/mask");
        let (axes, one, place) = (self.ints(&[1]), self.ints(&[1]), self.int(1));
        let narrow = [("to", Attribute::Int(6))];
        let sum = self.node("ReduceSum", &["attention_mask", &axes], &[]);
        let last = self.node("Sub", &[&sum, &one], &[]);
        let lengths = self.node("Cast", &[&last], &narrow);
        let shape = self.node("Shape", &["attention_mask"], &[]);
        let total = self.node("Gather", &[&shape, &place], &[]);
        let total = self.node("Cast", &[&total], &narrow);
        let half = self.recipe.head() / 2;
        let angle = |at: usize| (at / half) as f64 * BASE.powf(-((at % half) as f64) / half as f64);
        let table =
            |of: fn(f64) -> f64| (0..POSITIONS * half).map(|at| of(angle(at)) as f32).collect();
        let [cosine, sine] =
            [f64::cos, f64::sin].map(|of| self.floats(&[POSITIONS, half], table(of)));
        Shared { lengths, total, cosine, sine }
    }

    fn skip_norm(&mut self, value: &str, addend: &str) -> (String, String) {
        let width = self.recipe.width;
        let scale = self.floats(&[width], vec![1.0; width]);
        let inputs = [value, addend, &scale];
        let written = self.fused(
            "SkipSimplifiedLayerNormalization",
            &inputs,
            &["", "", "", "sum"],
            &[EPSILON],
        );
        (written[0].clone(), written[3].clone())
    }

    fn group_query(&mut self, layer: usize, value: &str, shared: &Shared) -> String {
        let Recipe { width, heads, kv_heads, dtype, .. } = self.recipe;
        let head = self.recipe.head();
        let query = self.product(value, [width, width]);
        let [key, content] = [0, 1].map(|_| self.product(value, [width, kv_heads * head]));
        let [past_key, past_value] = ["key", "value"].map(|part| {
            let shape = [Dim::Known(1), Dim::Known(kv_heads), open("past"), Dim::Known(head)];
            let name = format!("past_key_values.{layer}.{part}");
            self.input(&name, dtype, &shape);
            name
        });
        let present = ["key", "value"].map(|part| format!("present.{layer}.{part}"));
        let inputs = [
            &query,
            &key,
            &content,
            &past_key,
            &past_value,
            &shared.lengths,
            &shared.total,
            &shared.cosine,
            &shared.sine,
        ];
        let attributes = [
            ("num_heads", Attribute::Int(heads as i64)),
            ("kv_num_heads", Attribute::Int(kv_heads as i64)),
            ("do_rotary", Attribute::Int(1)),
        ];
        let outputs = ["", &present[0], &present[1]];
        let written =
            self.fused("GroupQueryAttention", &inputs.map(String::as_str), &outputs, &attributes);
        for name in &present {
            let shape = [Dim::Known(1), Dim::Known(kv_heads), open("total"), Dim::Known(head)];
            self.change(|network| network.open_output(name, dtype, &shape));
        }
        self.product(&written[0], [width, width])
    }

    fn gated(&mut self, value: &str) -> String {
        let Recipe { width, hidden, .. } = self.recipe;
        let gate = self.product(value, [width, hidden]);
        let gate = self.fused("QuickGelu", &[&gate], &[""], &[("alpha", Attribute::Float(1.0))]);
        let up = self.product(value, [width, hidden]);
        let both = self.node("Mul", &[&gate[0], &up], &[]);
        self.product(&both, [hidden, width])
    }

    /// A product with weights of 4 bits, one scale for each 32.
    fn product(&mut self, value: &str, [columns, rows]: [usize; 2]) -> String {
        const BLOCK: usize = 32;
        let blocks = columns / BLOCK;
        let (packed, scales) = self.four_bits([rows, blocks, BLOCK], 1.0 / (columns as f64).sqrt());
        let attributes = [
            ("N", Attribute::Int(rows as i64)),
            ("K", Attribute::Int(columns as i64)),
            ("bits", Attribute::Int(4)),
            ("block_size", Attribute::Int(BLOCK as i64)),
        ];
        self.fused("MatMulNBits", &[value, &packed, &scales], &[""], &attributes).remove(0)
    }
}
