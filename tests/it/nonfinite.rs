//! NaN, infinities and the limits of a feed: what the reports say about them, and what they do not.
//!
//! The right answers follow from arithmetic: an element's inputs, each format's range, and the first NaN made
//! of numbers.

use crate::support::{device, finish, finish_json, first_target, offby};
use offby::graph::{Attribute, Network};
use offby::tensor::{Dtype, Tensor, write_npy};
use serde_json::Value;
use std::path::PathBuf;
use tempfile::TempDir;

const F32: Dtype = Dtype::F32;
const FLOOR_FACTOR: &str = "sim:honest-f32";

fn floats(values: &[f32]) -> Tensor {
    Tensor::from_f32(&[values.len()], values.to_vec()).unwrap()
}

/// A network and a feed in their own folder.
struct Bench {
    folder: TempDir,
    input: String,
}

impl Bench {
    fn new(network: &Network, input: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("network.onnx"), network.to_bytes()).unwrap();
        Bench { folder, input: input.to_owned() }
    }

    fn fed(network: &Network, feed: &Tensor) -> Self {
        let bench = Bench::new(network, "");
        let path = bench.folder.path().join("feed.npy");
        write_npy(&path, feed).unwrap();
        Bench { input: path.display().to_string(), ..bench }
    }

    fn network(&self) -> PathBuf {
        self.folder.path().join("network.onnx")
    }

    fn go(&self, command: &str, target: &str, more: &[&str]) -> (i32, Value) {
        let mut offby = offby();
        offby.arg(command).arg(self.network()).args(["--input", &self.input, "--on", target]);
        offby.args(more).args(["--json", "-"]);
        finish_json(offby)
    }

    /// Exit code, kind and sentence; the sentence must not mention an error of zero.
    fn said(&self, command: &str, target: &str, more: &[&str]) -> (i32, String, String) {
        let (code, report) = self.go(command, target, more);
        let verdict = &first_target(&report)["verdict"];
        let text = |name: &str| verdict[name].as_str().unwrap().to_owned();
        let sentence = text("sentence");
        assert!(!sentence.contains("0.00e0"), "{command} {more:?}: {sentence}");
        (code, text("kind"), sentence)
    }

    /// The whole text, its lines joined.
    fn text(&self, command: &str, target: &str, more: &[&str]) -> String {
        let mut offby = offby();
        offby.arg(command).arg(self.network()).args(["--input", &self.input, "--on", target]);
        let (_, stdout, stderr) = finish({
            offby.args(more);
            offby
        });
        assert_eq!(stderr, "", "{stdout}");
        stdout.split_whitespace().collect::<Vec<_>>().join(" ")
    }
}

/// `x` of 8 elements through a node with one input, or with two if there is a constant, and `Identity`.
fn single(op_type: &str, constant: Option<f32>) -> Network {
    let network = Network::new("single").input("x", F32, &[8]);
    let (network, inputs) = match constant {
        Some(value) => (network.initializer("c", &floats(&[value])), vec!["x", "c"]),
        None => (network, vec!["x"]),
    };
    network
        .node("culprit", op_type, &inputs, &["a"], &[])
        .node("last", "Identity", &["a"], &["y"], &[])
        .output("y", F32, &[8])
}

#[test]
fn causes_are_those_of_the_elements_own_inputs() {
    let nan_in_first = |op: &str| {
        device(&format!("storage: {{format: f32}}\nfaults:\n- {{fault: nan, at: {{op: [{op}]}}}}"))
    };
    // e^1 and e^11.5 are far below the largest f32.
    let exp = Bench::fed(&single("Exp", None), &floats(&[1.0, 11.5, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]));
    let (_folder, target) = nan_in_first("Exp");
    let (code, kind, sentence) = exp.said("walk", &target, &[]);
    assert_eq!((code, &*kind), (1, "nonfinite"), "{sentence}");
    assert!(
        sentence.contains("1 NaN element") && sentence.contains("its inputs do not explain it")
    );
    // The zero numerator is in a second element, and the divisor is 3.
    let div =
        Bench::fed(&single("Div", Some(3.0)), &floats(&[5.0, 0.0, 1.0, 2.0, 3.0, 4.0, 6.0, 7.0]));
    let (_folder, target) = nan_in_first("Div");
    let (_, _, sentence) = div.said("walk", &target, &[]);
    assert!(sentence.contains("its inputs do not explain it"), "{sentence}");
    // A right value that is beyond f16.
    let mul = Bench::new(&single("Mul", Some(300.0)), "const:300");
    let (_, _, sentence) = mul.said("walk", "sim:honest-f16", &[]);
    assert!(!sentence.contains("its inputs do not explain it"), "{sentence}");
}

#[test]
fn numbers_in_place_of_nan_are_counted() {
    let (_folder, target) = device(
        "storage: {format: f32}\nfaults:\n- {fault: zero, range: [-10, 0], at: {op: [Log]}}",
    );
    let feed = floats(&[-1.0, 2.0, 3.0, -4.0, 5.0, 6.0, 7.0, 8.0]);
    let log = Bench::fed(&single("Log", None), &feed);
    for strategy in ["follow", "cut", "isolate"] {
        let (code, kind, sentence) = log.said("walk", &target, &["--strategy", strategy]);
        assert_eq!((code, &*kind), (1, "nonfinite"), "{strategy}: {sentence}");
        let told = "2 elements are numbers where the reference, on the same inputs, has NaN";
        assert!(sentence.contains("culprit") && sentence.contains(told), "{sentence}");
    }
    let (code, _, sentence) = log.said("run", &target, &[]);
    assert_eq!(code, 1);
    assert!(sentence.contains("the reference has 2 NaN, the target neither"), "{sentence}");
}

/// `y = mean(2 log(x - 3))` of 0 to 7: three elements become NaN, and a fourth minus infinity.
fn logarithms() -> Network {
    Network::new("logarithms")
        .input("x", F32, &[8])
        .initializer("three", &floats(&[3.0]))
        .initializer("two", &floats(&[2.0]))
        .node("sub", "Sub", &["x", "three"], &["a"], &[])
        .node("log", "Log", &["a"], &["b"], &[])
        .node("mul", "Mul", &["b", "two"], &["c"], &[])
        .node("mean", "ReduceMean", &["c"], &["y"], &[("keepdims", Attribute::Int(0))])
        .output("y", F32, &[])
}

#[test]
fn nan_of_the_reference_is_told_with_its_birthplace() {
    let bench = Bench::new(&logarithms(), "arange");
    for command in ["run", "walk"] {
        let (code, report) = bench.go(command, FLOOR_FACTOR, &[]);
        assert_eq!(code, 0, "{report:#}");
        let output = &report["nonfinite"][0];
        assert_eq!((&output["output"], &output["nan"]), (&"y".into(), &1.into()));
        assert_eq!(output["births"].as_array().unwrap().len(), 1, "{output:#}");
        let found = &output["births"][0]["found"];
        assert_eq!(
            (&found["op"], &found["nan"], &found["inf"]),
            (&"log".into(), &3.into(), &1.into())
        );
        assert_eq!(found["cause"], "negative_domain");
        let text = bench.text(command, FLOOR_FACTOR, &[]);
        let told = "warning: output `y`: its only element is NaN in the reference itself: `log` (Log) makes";
        assert!(text.contains(told), "{text}");
        let (code, kind, _) = bench.said(command, FLOOR_FACTOR, &["--no-nan"]);
        assert_eq!((code, &*kind), (1, "nonfinite"));
    }
    let (code, report) = bench.go("walk", "tract", &[]);
    assert_eq!(code, 0, "{report:#}");
    let ops = first_target(&report)["walk"]["ops"].as_array().unwrap();
    let born: Vec<&Value> = ops.iter().filter(|op| !op["born"].is_null()).collect();
    assert_eq!(born.len(), 1, "{ops:#?}");
    assert_eq!(born[0]["name"], "log");
}

/// A mask with a row of minus infinity, added to scores before a Softmax.
fn masked(row: &[f32; 4]) -> Network {
    let mask = Tensor::from_f32(&[1, 4], row.to_vec()).unwrap();
    Network::new("masked")
        .input("x", F32, &[2, 4])
        .initializer("mask", &mask)
        .node("add", "Add", &["x", "mask"], &["s"], &[])
        .node("softmax", "Softmax", &["s"], &["y"], &[("axis", Attribute::Int(-1))])
        .output("y", F32, &[2, 4])
}

#[test]
fn infinities_that_are_meant_need_no_word() {
    let inf = f32::NEG_INFINITY;
    let meant = Bench::new(&masked(&[0.0, 0.0, 0.0, inf]), "normal:1");
    let (code, report) = meant.go("run", FLOOR_FACTOR, &["--no-nan"]);
    assert_eq!((code, &report["nonfinite"]), (0, &Value::Null), "{report:#}");
    // A row of minus infinity alone has no Softmax.
    let whole = Bench::new(&masked(&[inf; 4]), "normal:1");
    let (_, report) = whole.go("run", FLOOR_FACTOR, &[]);
    let births = report["nonfinite"][0]["births"].as_array().unwrap();
    let last = births.last().unwrap();
    assert_eq!(last["found"]["op"], "softmax", "{births:#?}");
    assert_eq!((&last["of_finite"], &last["found"]["nan"]), (&false.into(), &8.into()));
    assert_eq!(births[0]["kind"], "constant");
}

#[test]
fn nan_of_inherited_error_has_two_names() {
    // (x - mean) / sqrt(mean((x - mean)²)) of values that f16 rounds to one value.
    let mean = [("axes", Attribute::Ints(vec![1]))];
    let network = Network::new("normalised")
        .input("x", F32, &[2, 8])
        .node("mean", "ReduceMean", &["x"], &["m"], &mean)
        .node("sub", "Sub", &["x", "m"], &["d"], &[])
        .node("square", "Mul", &["d", "d"], &["q"], &[])
        .node("variance", "ReduceMean", &["q"], &["v"], &mean)
        .node("root", "Sqrt", &["v"], &["s"], &[])
        .node("div", "Div", &["d", "s"], &["y"], &[])
        .output("y", F32, &[2, 8]);
    let bench = Bench::new(&network, "uniform:1000.01,1000.2,1");
    let (code, report) = bench.go("walk", "sim:honest-f16", &[]);
    let target = first_target(&report);
    let sentence = target["verdict"]["sentence"].as_str().unwrap();
    assert_eq!((code, &target["verdict"]["kind"]), (1, &"nonfinite".into()), "{sentence}");
    assert!(
        sentence.contains("at `div`") && sentence.contains("zero divided by zero"),
        "{sentence}"
    );
    assert!(sentence.contains("lost their value at `sub` (Sub)"), "{sentence}");
    // A simulated device stores values as it declares.
    assert_eq!(target["walk"]["storage"], "f16");
    assert_eq!(target["walk"]["sources"], Value::Array(vec![]));
}

#[test]
fn the_sign_of_zero_counts_where_something_is_divided_by_it() {
    let network = Network::new("reciprocal")
        .input("x", F32, &[8])
        .node("relu", "Relu", &["x"], &["r"], &[])
        .node("same", "Identity", &["r"], &["s"], &[])
        .node("reciprocal", "Reciprocal", &["s"], &["y"], &[])
        .output("y", F32, &[8]);
    let (_folder, target) =
        device("storage: {format: f32}\nfaults:\n- {fault: scale, factor: -1.0, at: {op: [Relu]}}");
    let bench = Bench::new(&network, "zeros");
    let (code, report) = bench.go("walk", &target, &[]);
    assert_eq!(code, 1);
    assert_eq!(first_target(&report)["walk"]["sources"], serde_json::json!(["relu"]));
    let sentence = first_target(&report)["verdict"]["sentence"].as_str().unwrap();
    assert!(sentence.contains("8 zeros have the other sign"), "{sentence}");
}

#[test]
fn integers_are_exact_in_every_strategy() {
    let whole = |value: i64| Tensor::from_bytes(Dtype::I64, &[1], &value.to_le_bytes()).unwrap();
    let network = Network::new("integers")
        .input("i", Dtype::I64, &[4])
        .initializer("one", &whole(1))
        .initializer("two", &whole(2))
        .node("add", "Add", &["i", "one"], &["j"], &[])
        .node("mul", "Mul", &["j", "two"], &["y"], &[])
        .output("y", Dtype::I64, &[4]);
    let millions: Vec<u8> = [3_000_000i64, 4_000_000, 5_000_000, 6_000_000]
        .iter()
        .flat_map(|i| i.to_le_bytes())
        .collect();
    let feed = Tensor::from_bytes(Dtype::I64, &[4], &millions).unwrap();
    let bench = Bench::fed(&network, &feed);
    let (_folder, target) =
        device("storage: {format: f32}\nfaults:\n- {fault: plus-one, at: {op: [Add]}}");
    for strategy in ["follow", "cut", "isolate"] {
        let (code, report) = bench.go("walk", &target, &["--strategy", strategy]);
        let walk = &first_target(&report)["walk"];
        assert_eq!((code, &walk["sources"]), (1, &serde_json::json!(["add"])), "{strategy}");
        let sentence = first_target(&report)["verdict"]["sentence"].as_str().unwrap();
        assert!(sentence.contains("4 integers"), "{strategy}: {sentence}");
    }
}

#[test]
fn what_a_feed_cannot_show_is_told() {
    let network = Network::new("transposed")
        .input("x", F32, &[1, 4, 4])
        .node("turn", "Transpose", &["x"], &["t"], &[("perm", Attribute::Ints(vec![0, 2, 1]))])
        .node("last", "Neg", &["t"], &["y"], &[])
        .output("y", F32, &[1, 4, 4]);
    let (_folder, target) = device("storage: {format: f32}\nfaults:\n- {fault: ignore-transpose}");
    let constant =
        "the feed `x` is constant: it cannot show whether elements are in the right places";
    let blind = "`turn` (Transpose) moves elements, and with this feed their order does not change";
    let ones = Bench::new(&network, "ones");
    assert!(ones.text("run", &target, &[]).contains(constant));
    let text = ones.text("walk", &target, &[]);
    assert!(text.contains(constant) && text.contains(blind), "{text}");
    // Symmetric, but not constant.
    let values = (0..16).map(|at| ((at / 4) * (at % 4)) as f32).collect();
    let symmetric = Bench::fed(&network, &Tensor::from_f32(&[1, 4, 4], values).unwrap());
    let text = symmetric.text("walk", &target, &[]);
    assert!(!text.contains("is constant") && text.contains(blind), "{text}");
    // An asymmetric feed shows the fault. The text says how often and on which feed the target was right.
    let other = Bench::new(&network, "normal:1");
    assert_eq!(other.said("run", &target, &[]).0, 1);
    let text = other.text("walk", FLOOR_FACTOR, &[]);
    assert!(text.contains("in 3 runs on normal:1") && !text.contains("moves elements"), "{text}");
}
