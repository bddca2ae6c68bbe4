//! Operators of ONNX Runtime in ONNX's own operators: ONNX Runtime runs its own, and the reference the replacement.

use crate::support::{finish_json, first_target, need, offby};
use offby::graph::{Attribute, Network};
use offby::inputs::Random;
use offby::tensor::Dtype::{self, F32, I32, I64};
use offby::tensor::Tensor;
use serde_json::Value;
use std::fs;
use std::path::Path;

const MICROSOFT: &str = "com.microsoft";
const INT: fn(i64) -> Attribute = Attribute::Int;

fn numbers(shape: &[usize], seed: u64) -> Tensor {
    let mut random = Random::new(seed);
    let count = shape.iter().product();
    Tensor::from_f32(shape, (0..count).map(|_| random.normal() as f32).collect()).unwrap()
}

fn bytes(shape: &[usize], seed: u64) -> Tensor {
    let mut random = Random::new(seed);
    let count: usize = shape.iter().product();
    let bytes: Vec<u8> = (0..count).map(|_| (random.unit() * 256.0) as u8).collect();
    Tensor::from_bytes(Dtype::U8, shape, &bytes).unwrap()
}

fn whole(dtype: Dtype, shape: &[usize], values: &[i64]) -> Tensor {
    let bytes: Vec<u8> = match dtype {
        I32 => values.iter().flat_map(|value| (*value as i32).to_le_bytes()).collect(),
        _ => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
    };
    Tensor::from_bytes(dtype, shape, &bytes).unwrap()
}

/// A network of one operator of ONNX Runtime.
struct Case {
    network: Network,
    op_type: String,
    inputs: Vec<String>,
}

impl Case {
    fn new(op_type: &str) -> Self {
        Case {
            network: Network::new(op_type).opset(17),
            op_type: op_type.into(),
            inputs: Vec::new(),
        }
    }

    fn fed(mut self, name: &str, shape: &[usize]) -> Self {
        self.network = self.network.input(name, F32, shape);
        self.inputs.push(name.into());
        self
    }

    fn stored(mut self, name: &str, tensor: &Tensor) -> Self {
        self.network = self.network.initializer(name, tensor);
        self.inputs.push(name.into());
        self
    }

    fn without(mut self) -> Self {
        self.inputs.push(String::new());
        self
    }

    /// The network's file, with these attributes and outputs.
    fn file(
        self,
        folder: &Path,
        attributes: &[(&str, Attribute)],
        outputs: &[(&str, &[usize])],
    ) -> String {
        let inputs: Vec<&str> = self.inputs.iter().map(String::as_str).collect();
        let names: Vec<&str> = outputs.iter().map(|(name, _)| *name).collect();
        let network = self.network.node("op", &self.op_type, &inputs, &names, attributes);
        let network = network.of_domain(MICROSOFT);
        let declared = outputs.iter().filter(|(name, _)| !name.is_empty());
        let network =
            declared.fold(network, |network, (name, shape)| network.output(name, F32, shape));
        let path = folder.join(format!("{}.onnx", self.op_type));
        fs::write(&path, network.to_bytes()).unwrap();
        path.display().to_string()
    }
}

fn judged(command: &str, model: &str) -> Value {
    let mut offby = offby();
    offby.args([command, model, "--on", "ort:cpu", "--json", "-"]);
    let (code, report) = finish_json(offby);
    let target = first_target(&report).clone();
    let kind = target["verdict"]["kind"].as_str().unwrap_or("");
    assert!(code == 0 && ["agrees", "equal"].contains(&kind), "{command} {model}: {report:#}");
    target
}

fn agrees(case: Case, attributes: &[(&str, Attribute)], outputs: &[(&str, &[usize])]) {
    let folder = tempfile::tempdir().unwrap();
    judged("run", &case.file(folder.path(), attributes, outputs));
}

#[test]
#[ignore = "needs the driver of ort:cpu"]
fn normalizations_are_what_onnx_runtime_computes() {
    need("ort:cpu");
    let (rows, row): (&[usize], &[usize]) = (&[2, 3, 8], &[8]);
    let case = |op: &str| Case::new(op).fed("x", rows).fed("skip", rows);
    agrees(
        case("SkipSimplifiedLayerNormalization")
            .stored("g", &numbers(row, 1))
            .stored("b", &numbers(row, 2)),
        &[("epsilon", Attribute::Float(1e-3))],
        &[("y", rows), ("", row), ("", row), ("sum", rows)],
    );
    agrees(
        case("SkipLayerNormalization")
            .stored("g", &numbers(row, 1))
            .stored("beta", &numbers(row, 2))
            .stored("bias", &numbers(row, 3)),
        &[("epsilon", Attribute::Float(1e-3))],
        &[("y", rows), ("", row), ("", row), ("sum", rows)],
    );
    let tokens = whole(I32, &[2, 3], &[0, 4, 2, 1, 1, 3]);
    let embed = Case::new("EmbedLayerNormalization")
        .stored("ids", &tokens)
        .stored("segments", &whole(I32, &[2, 3], &[0, 1, 1, 0, 0, 1]))
        .fed("words", &[5, 8])
        .stored("places", &numbers(&[4, 8], 4))
        .stored("kinds", &numbers(&[2, 8], 5))
        .stored("g", &numbers(row, 1))
        .stored("b", &numbers(row, 2));
    agrees(embed, &[("epsilon", Attribute::Float(1e-5))], &[("y", rows), ("", row)]);
}

#[test]
#[ignore = "needs the driver of ort:cpu"]
fn products_and_activations_are_what_onnx_runtime_computes() {
    need("ort:cpu");
    let x: &[usize] = &[2, 3, 8];
    agrees(Case::new("Gelu").fed("x", x), &[], &[("y", x)]);
    agrees(Case::new("BiasGelu").fed("x", x).fed("b", &[8]), &[], &[("y", x)]);
    agrees(Case::new("FastGelu").fed("x", x).fed("b", &[8]), &[], &[("y", x)]);
    agrees(Case::new("FastGelu").fed("x", x), &[], &[("y", x)]);
    agrees(Case::new("QuickGelu").fed("x", x), &[("alpha", Attribute::Float(1.5))], &[("y", x)]);
    let fused = Case::new("FusedMatMul").fed("a", &[2, 8, 3]).fed("b", &[2, 5, 8]);
    let turned = [("transA", INT(1)), ("transB", INT(1)), ("alpha", Attribute::Float(0.25))];
    agrees(fused, &turned, &[("y", &[2, 3, 5])]);
    let conv = Case::new("FusedConv")
        .fed("x", &[1, 4, 6, 6])
        .stored("w", &numbers(&[4, 2, 3, 3], 1))
        .stored("b", &numbers(&[4], 2))
        .fed("z", &[1, 4, 6, 6]);
    let attributes = [
        ("group", INT(2)),
        ("pads", Attribute::Ints(vec![1; 4])),
        ("kernel_shape", Attribute::Ints(vec![3, 3])),
        ("activation", Attribute::Text("Relu".into())),
    ];
    agrees(conv, &attributes, &[("y", &[1, 4, 6, 6])]);
    let gemm = Case::new("FusedGemm").fed("x", &[3, 8]).fed("w", &[5, 8]).fed("b", &[5]);
    let attributes = [("transB", INT(1)), ("activation", Attribute::Text("Tanh".into()))];
    agrees(gemm, &attributes, &[("y", &[3, 5])]);
}

#[test]
#[ignore = "needs the driver of ort:cpu"]
fn products_with_weights_of_a_few_bits_are_what_onnx_runtime_computes() {
    need("ort:cpu");
    let sizes = |bits, columns: usize, block| {
        [("N", INT(6)), ("K", INT(columns as i64)), ("bits", INT(bits)), ("block_size", INT(block))]
    };
    let out: &[(&str, &[usize])] = &[("y", &[2, 6])];
    let case = |columns: usize, blob: usize, blocks: usize| {
        Case::new("MatMulNBits")
            .fed("x", &[2, columns])
            .stored("w", &bytes(&[6, blocks, blob], 1))
            .stored("s", &numbers(&[6 * blocks], 2))
    };
    agrees(case(64, 16, 2), &sizes(4, 64, 32), out);
    // The last block is not full, and zeros of three blocks take two bytes.
    agrees(case(80, 16, 3).stored("z", &bytes(&[12], 3)), &sizes(4, 80, 32), out);
    agrees(case(64, 16, 2).stored("z", &numbers(&[6, 2], 3)), &sizes(4, 64, 32), out);
    agrees(case(64, 32, 2).stored("z", &bytes(&[12], 3)), &sizes(8, 64, 32), out);
    let biased = case(64, 16, 2).without().without().stored("b", &numbers(&[6], 4));
    agrees(biased, &sizes(4, 64, 32), out);
}

/// The tables of rotary embeddings of 8 elements.
fn tables(case: Case, half: usize) -> Case {
    let angles: Vec<f32> = (0..16 * half)
        .map(|at| (at / half) as f32 * 100f32.powf(-((at % half) as f32) / half as f32))
        .collect();
    let table = |of: fn(f32) -> f32| {
        Tensor::from_f32(&[16, half], angles.iter().map(|angle| of(*angle)).collect()).unwrap()
    };
    case.stored("cos", &table(f32::cos)).stored("sin", &table(f32::sin))
}

#[test]
#[ignore = "needs the driver of ort:cpu"]
fn rotary_embeddings_are_what_onnx_runtime_computes() {
    need("ort:cpu");
    let rows: &[usize] = &[2, 3, 16];
    let from = |at: i64| {
        Case::new("RotaryEmbedding").fed("x", rows).stored("at", &whole(I64, &[1], &[at]))
    };
    agrees(tables(from(5), 4), &[], &[("y", rows)]);
    agrees(tables(from(2), 4), &[("interleaved", INT(1))], &[("y", rows)]);
    let places = whole(I64, &[2, 3], &[4, 5, 6, 0, 3, 1]);
    let part = Case::new("RotaryEmbedding").fed("x", rows).stored("at", &places);
    let attributes = [("num_heads", INT(2)), ("rotary_embedding_dim", INT(4))];
    agrees(tables(part, 2), &attributes, &[("y", rows)]);
    let apart: &[usize] = &[2, 2, 3, 8];
    let case = Case::new("RotaryEmbedding").fed("x", apart).stored("at", &places);
    agrees(tables(case, 4), &[], &[("y", apart)]);
}

/// Four query heads on two stored heads of 16 elements, for `new` tokens after `past`.
fn group_query(new: usize, past: usize, batch: usize) -> Case {
    let total = (past + new) as i64;
    let stored: &[usize] = &[batch, 2, past, 16];
    let case = Case::new("GroupQueryAttention")
        .fed("q", &[batch, new, 64])
        .fed("k", &[batch, new, 32])
        .fed("v", &[batch, new, 32]);
    let case = match past {
        0 => case.without().without(),
        _ => case.fed("past_k", stored).fed("past_v", stored),
    };
    let lengths = whole(I32, &[batch], &vec![total - 1; batch]);
    case.stored("lengths", &lengths).stored("total", &whole(I32, &[], &[total]))
}

#[test]
#[ignore = "needs the driver of ort:cpu"]
fn attentions_of_grouped_queries_are_what_onnx_runtime_computes() {
    need("ort:cpu");
    let heads = [("num_heads", INT(4)), ("kv_num_heads", INT(2))];
    let with = |more: &[(&'static str, Attribute)]| [&heads[..], more].concat();
    for (new, past, batch) in [(5, 0, 1), (1, 6, 1), (3, 4, 1), (2, 0, 2)] {
        let stored: &[usize] = &[batch, 2, past + new, 16];
        let outputs: &[(&str, &[usize])] =
            &[("y", &[batch, new, 64]), ("k_all", stored), ("v_all", stored)];
        agrees(group_query(new, past, batch), &heads, outputs);
        let turned = with(&[("do_rotary", INT(1))]);
        agrees(tables(group_query(new, past, batch), 8), &turned, outputs);
        let part = with(&[("do_rotary", INT(1)), ("rotary_interleaved", INT(1))]);
        agrees(tables(group_query(new, past, batch), 8), &part, outputs);
        let window = with(&[("local_window_size", INT(2))]);
        agrees(group_query(new, past, batch), &window, outputs);
        let capped = with(&[("softcap", Attribute::Float(2.0)), ("scale", Attribute::Float(0.7))]);
        agrees(group_query(new, past, batch), &capped, outputs);
        let smooth = with(&[("smooth_softmax", INT(1))]);
        agrees(group_query(new, past, batch), &smooth, outputs);
    }
    let packed = Case::new("GroupQueryAttention").fed("q", &[1, 3, 128]).without().without();
    let packed = packed.fed("past_k", &[1, 2, 2, 16]).fed("past_v", &[1, 2, 2, 16]);
    let packed =
        packed.stored("lengths", &whole(I32, &[1], &[4])).stored("total", &whole(I32, &[], &[5]));
    let stored: &[usize] = &[1, 2, 5, 16];
    agrees(packed, &heads, &[("y", &[1, 3, 64]), ("k_all", stored), ("v_all", stored)]);
}

#[test]
#[ignore = "needs the driver of ort:cpu"]
fn attentions_of_several_heads_are_what_onnx_runtime_computes() {
    need("ort:cpu");
    let rows: &[usize] = &[2, 3, 16];
    let out: &[(&str, &[usize])] = &[("y", rows)];
    let heads = [("num_heads", INT(2))];
    let backwards = [heads[0].clone(), ("unidirectional", INT(1))];
    let multi = || Case::new("MultiHeadAttention").fed("q", rows).fed("k", rows).fed("v", rows);
    agrees(multi(), &heads, out);
    agrees(multi().fed("bias", &[48]), &heads, out);
    let mask = whole(I32, &[2, 3], &[1, 1, 0, 1, 1, 1]);
    agrees(multi().without().stored("mask", &mask), &heads, out);
    agrees(multi().without().without().fed("added", &[1, 2, 3, 3]), &heads, out);
    agrees(multi(), &backwards, out);
    let apart: &[usize] = &[2, 2, 5, 8];
    let cross = Case::new("MultiHeadAttention").fed("q", rows).fed("k", apart).fed("v", apart);
    agrees(cross, &heads, out);
    let past: &[usize] = &[2, 2, 4, 8];
    let stepped = multi().without().without().without().fed("past_k", past).fed("past_v", past);
    let all: &[usize] = &[2, 2, 7, 8];
    agrees(stepped, &heads, &[("y", rows), ("k_all", all), ("v_all", all)]);
    let whole_attention = || {
        Case::new("Attention")
            .fed("x", rows)
            .stored("w", &numbers(&[16, 48], 1))
            .stored("b", &numbers(&[48], 2))
    };
    agrees(whole_attention(), &heads, out);
    agrees(whole_attention().stored("mask", &mask), &heads, out);
    agrees(whole_attention(), &backwards, out);
    let both: &[usize] = &[2, 2, 2, 4, 8];
    let later = whole_attention().without().fed("past", both);
    agrees(later, &backwards, &[("y", rows), ("present", &[2, 2, 2, 7, 8])]);
}

/// An operator on integers between a quantisation and a dequantisation.
fn on_integers(
    op_type: &str,
    shape: &[usize],
    twice: bool,
    attributes: &[(&str, Attribute)],
    out: &[usize],
) {
    let scale = |value: f32| Tensor::from_f32(&[], vec![value]).unwrap();
    let zero = |value: u8| Tensor::from_bytes(Dtype::U8, &[], &[value]).unwrap();
    let network = Network::new(op_type)
        .opset(17)
        .input("x", F32, shape)
        .initializer("s", &scale(0.02))
        .initializer("z", &zero(120))
        .initializer("t", &scale(0.03))
        .initializer("w", &zero(100))
        .node("in", "QuantizeLinear", &["x", "s", "z"], &["q"], &[]);
    let (one, end) = (["q", "s", "z"], ["t", "w"]);
    let inputs = match (op_type, twice) {
        ("QLinearConcat", _) => [&end[..], &one, &one].concat(),
        (_, true) => [&one[..], &one, &end].concat(),
        (_, false) => [&one[..], &end].concat(),
    };
    let network = network.node("op", op_type, &inputs, &["r"], attributes).of_domain(MICROSOFT);
    let network = network.node("out", "DequantizeLinear", &["r", "t", "w"], &["y"], &[]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(format!("{op_type}.onnx"));
    fs::write(&path, network.output("y", F32, out).to_bytes()).unwrap();
    judged("run", &path.display().to_string());
}

#[test]
#[ignore = "needs the driver of ort:cpu"]
fn operators_on_integers_are_what_onnx_runtime_computes() {
    need("ort:cpu");
    let row: &[usize] = &[2, 8];
    on_integers("QLinearAdd", row, true, &[], row);
    on_integers("QLinearMul", row, true, &[], row);
    on_integers("QLinearConcat", row, true, &[("axis", INT(1))], &[2, 16]);
    on_integers("QLinearSigmoid", row, false, &[], row);
    on_integers("QLinearLeakyRelu", row, false, &[("alpha", Attribute::Float(0.1))], row);
    on_integers("QLinearGlobalAveragePool", &[1, 3, 4, 4], false, &[], &[1, 3, 1, 1]);
    let pool =
        [("kernel_shape", Attribute::Ints(vec![2, 2])), ("strides", Attribute::Ints(vec![2, 2]))];
    on_integers("QLinearAveragePool", &[1, 3, 4, 4], false, &pool, &[1, 3, 2, 2]);
    let product = Case::new("DynamicQuantizeMatMul")
        .fed("x", &[3, 8])
        .stored("w", &bytes(&[8, 5], 1))
        .stored("s", &Tensor::from_f32(&[1], vec![0.01]).unwrap())
        .stored("z", &Tensor::from_bytes(Dtype::U8, &[1], &[117]).unwrap())
        .stored("b", &numbers(&[5], 2));
    agrees(product, &[], &[("y", &[3, 5])]);
}

/// A wrong value inside a fused operator cannot be seen, so the operator's nodes are one piece.
#[test]
#[ignore = "needs the driver of ort:cpu"]
fn onnx_runtime_is_walked_between_its_own_operators() {
    need("ort:cpu");
    let folder = tempfile::tempdir().unwrap();
    let outputs: &[(&str, &[usize])] =
        &[("y", &[1, 3, 64]), ("k_all", &[1, 2, 5, 16]), ("v_all", &[1, 2, 5, 16])];
    let heads = [("num_heads", INT(4)), ("kv_num_heads", INT(2))];
    let model = group_query(3, 2, 1).file(folder.path(), &heads, outputs);
    let target = judged("walk", &model);
    let walk = &target["walk"];
    assert_eq!(walk["strategy"], "dump", "{walk:#}");
    assert!(walk["searched_because"].is_null(), "{walk:#}");
    let pieces = walk["ops"].as_array().unwrap();
    assert_eq!(pieces.len(), 3, "one for each output: {walk:#}");
}
