//! Simulated devices: every fault on a small network, the wiki's cases on the debug networks, honest devices
//! that must not be accused, and unreadable documents.

use crate::support::{debug_model, device, finish, finish_json, first_target, offby};
use offby::graph::{Attribute, Model, Network};
use offby::tensor::{Dtype::F32, Tensor};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Exit code and report of `offby COMMAND MODEL --input INPUT --on TARGET`.
fn go(command: &str, model: &Path, input: &str, target: &str) -> (i32, Value) {
    within(60, command, model, input, target)
}

/// Runs the command with a timeout in seconds.
fn within(seconds: usize, command: &str, model: &Path, input: &str, target: &str) -> (i32, Value) {
    let mut offby = offby();
    offby.arg(command).arg(model).args(["--input", input, "--on", target, "--json", "-"]);
    offby.args(["--timeout", &seconds.to_string()]);
    finish_json(offby)
}

fn kind(report: &Value) -> &str {
    first_target(report)["verdict"]["kind"].as_str().unwrap()
}

fn sentence(report: &Value) -> &str {
    first_target(report)["verdict"]["sentence"].as_str().unwrap()
}

fn preview(report: &Value) -> &str {
    first_target(report)["outputs"][0]["comparison"]["preview"].as_str().unwrap()
}

fn sources(report: &Value) -> Vec<&str> {
    let sources = first_target(report)["walk"]["sources"].as_array().unwrap();
    sources.iter().map(|name| name.as_str().unwrap()).collect()
}

fn evidence(report: &Value) -> String {
    let lines = first_target(report)["evidence"].as_array().unwrap();
    lines.iter().map(|line| line.as_str().unwrap()).collect::<Vec<_>>().join("\n")
}

/// A weight without a pattern; positive, for it may be a variance.
fn weight(shape: &[usize]) -> Tensor {
    let count: usize = shape.iter().product();
    let values = (0..count).map(|i| 1.0 + 0.5 * (0.7 * i as f32).sin()).collect();
    Tensor::from_f32(shape, values).unwrap()
}

/// `x` through an identity, a node called `culprit`, and an identity; the culprit has the given type.
fn around(
    op_type: &str,
    shape: &[usize],
    output: &[usize],
    weights: &[&[usize]],
    attributes: &[(&str, Attribute)],
) -> Network {
    let names: Vec<String> = (0..weights.len()).map(|place| format!("w{place}")).collect();
    let mut inputs = vec!["before"];
    inputs.extend(names.iter().map(String::as_str));
    let mut network = Network::new("around").input("x", F32, shape);
    for (name, shape) in names.iter().zip(weights) {
        network = network.initializer(name, &weight(shape));
    }
    network
        .node("first", "Abs", &["x"], &["positive"], &[])
        .node("second", "Neg", &["positive"], &["negative"], &[])
        .node("third", "Add", &["x", "negative"], &["low"], &[])
        .node("fourth", "Sub", &["low", "negative"], &["before"], &[])
        .node("culprit", op_type, &inputs, &["after"], attributes)
        .node("last", "Identity", &["after"], &["y"], &[])
        .output("y", F32, output)
}

/// The network for testing a fault, by the fault's subject.
fn network(subject: &str) -> Network {
    const IMAGE: &[usize] = &[1, 8, 4, 4];
    let ints = |name: &'static str, values: &[i64]| (name, Attribute::Ints(values.to_vec()));
    let int = |name: &'static str, value: i64| (name, Attribute::Int(value));
    match subject {
        "Erf" | "Softplus" | "Relu" | "Tanh" => around(subject, IMAGE, IMAGE, &[], &[]),
        "Softmax" => around(subject, &[4, 32], &[4, 32], &[], &[int("axis", 1)]),
        "ReduceLogSumExp" => {
            around(subject, &[4, 32], &[4, 1], &[], &[ints("axes", &[1]), int("keepdims", 1)])
        }
        "Add" => around(subject, &[1, 4, 8, 8], &[1, 4, 8, 8], &[&[4, 8, 8]], &[]),
        "Mul" => around(subject, &[1, 4, 8, 8], &[1, 4, 8, 8], &[&[4, 1, 8]], &[]),
        "Transpose" => around(subject, &[1, 3, 5], &[1, 5, 3], &[], &[ints("perm", &[0, 2, 1])]),
        "Gemm" => around(subject, &[3, 6], &[3, 5], &[&[5, 6], &[5]], &[int("transB", 1)]),
        "Conv" => {
            let window =
                [("auto_pad", Attribute::Text("SAME_UPPER".into())), ints("strides", &[2, 2])];
            around(subject, IMAGE, &[1, 8, 2, 2], &[&[8, 8, 3, 3]], &window)
        }
        "MatMul" => around(subject, &[200, 16], &[200, 8], &[&[16, 8]], &[]),
        "Concat" => around(subject, &[1, 12, 3], &[1, 24, 3], &[&[1, 12, 3]], &[int("axis", 1)]),
        "InstanceNormalization" => {
            around(subject, &[1, 4, 10, 20], &[1, 4, 10, 20], &[&[4], &[4]], &[])
        }
        "BatchNormalization" => around(subject, &[6, 8], &[6, 8], &[&[8], &[8], &[8], &[8]], &[]),
        other => panic!("no network for {other}"),
    }
}

fn stored(network: &Network) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("network.onnx");
    std::fs::write(&path, network.to_bytes()).unwrap();
    (folder, path)
}

/// A fault's document, the network's culprit, the feed, and the verdict of `run` and of `walk`.
const FAULTS: &[(&str, &str, &str, &str)] = &[
    ("fault: naive-gelu", "Erf", "uniform:-60,60,1", "nonfinite"),
    ("fault: naive-gelu", "Tanh", "uniform:-60,60,1", "nonfinite"),
    ("fault: naive-softplus", "Softplus", "uniform:0,20,1", "nonfinite"),
    ("fault: naive-softplus, instead: 0", "Softplus", "uniform:0,20,1", "divergent"),
    ("fault: naive-logsumexp", "ReduceLogSumExp", "uniform:8,12,1", "nonfinite"),
    ("fault: naive-logsumexp", "Softmax", "uniform:8,14,1", "nonfinite"),
    ("fault: variance-by-squares", "InstanceNormalization", "uniform:1233,1235,1", "nonfinite"),
    (
        "fault: padding-in-statistics, multiple: 32",
        "InstanceNormalization",
        "uniform:0,1,1",
        "divergent",
    ),
    (
        "fault: variance-by-squares, sums: f32",
        "InstanceNormalization",
        "uniform:99999,100001,1",
        "nonfinite",
    ),
    ("fault: unwritten-parameters", "BatchNormalization", "normal:1", "nonfinite"),
    ("fault: ulps, ulps: 65536", "Relu", "normal:1", "divergent"),
    ("fault: nan", "Relu", "normal:1", "nonfinite"),
    ("fault: nan, range: [1, .inf]", "Relu", "normal:1", "nonfinite"),
    ("fault: scale, factor: 1.5", "Relu", "normal:1", "divergent"),
    ("fault: zero", "Relu", "normal:1", "divergent"),
    ("fault: zero, range: [1, .inf]", "Relu", "normal:1", "divergent"),
    ("fault: pads-swapped", "Conv", "normal:1", "divergent"),
    ("fault: wrong-broadcast", "Add", "normal:1", "divergent"),
    ("fault: ignore-transpose", "Transpose", "normal:1", "divergent"),
    ("fault: ignore-transpose", "Gemm", "normal:1", "divergent"),
    ("fault: tile-zero, tile: 64", "MatMul", "ones", "divergent"),
    ("fault: channel-swap", "Relu", "normal:1", "divergent"),
    ("fault: pack-swap", "Relu", "normal:1", "divergent"),
    ("fault: concat-offset, offset: 4", "Concat", "normal:1", "divergent"),
    ("fault: one-element", "Relu", "normal:1", "divergent"),
    ("fault: one-row", "Relu", "normal:1", "divergent"),
    ("fault: quiet-channels", "Relu", "normal:1", "divergent"),
    ("fault: last-tile, tile: 4", "Relu", "normal:1", "divergent"),
    ("fault: some-ulps, ulps: 65536", "Relu", "normal:1", "divergent"),
    ("fault: large-only, factor: 1.5", "Relu", "uniform:60000,70000,1", "divergent"),
    ("fault: negative-only, factor: 1.5", "Conv", "normal:1", "divergent"),
    ("fault: sign-lost", "Conv", "normal:1", "divergent"),
    ("fault: read-on", "Mul", "normal:1", "divergent"),
    ("fault: term-lost", "Softmax", "normal:1", "divergent"),
    ("fault: tail-lost", "MatMul", "normal:1", "divergent"),
    ("fault: bias-missing", "Gemm", "normal:1", "divergent"),
    ("fault: rows-swapped", "Relu", "normal:1", "divergent"),
    ("fault: shifted", "Relu", "normal:1", "divergent"),
    ("fault: channel-copied", "Relu", "normal:1", "divergent"),
    ("fault: clipped", "Relu", "normal:1", "divergent"),
    ("fault: small-lost", "Softmax", "uniform:0,14,1", "divergent"),
    ("fault: digits-lost", "Relu", "normal:1", "divergent"),
    ("fault: one-channel, factor: 1.5", "Relu", "normal:1", "divergent"),
    ("fault: stale-slot", "Concat", "normal:1", "divergent"),
    ("fault: half-sums", "MatMul", "normal:1", "divergent"),
    ("fault: second-run", "Relu", "normal:1", "nondeterministic"),
    ("fault: process-noise", "Relu", "normal:1", "divergent"),
    ("fault: stale", "Relu", "normal:1", "nondeterministic"),
    ("fault: plus-one", "Relu", "normal:1", "divergent"),
    ("fault: random", "Relu", "normal:1", "nondeterministic"),
    ("fault: liar", "Relu", "normal:1", "divergent"),
    ("fault: refuse", "Relu", "normal:1", "rejected"),
    ("fault: build-error", "Relu", "normal:1", "rejected"),
    ("fault: zero-output", "Relu", "normal:1", "divergent"),
    ("fault: device-lost", "Relu", "normal:1", "rejected"),
    ("fault: abort", "Relu", "normal:1", "crashed"),
    ("fault: segfault", "Relu", "normal:1", "crashed"),
    ("fault: hang", "Relu", "normal:1", "timed_out"),
    ("fault: abort, during: opening", "Relu", "normal:1", "crashed"),
];

#[test]
fn every_fault_is_found_for_what_it_is() {
    for (fault, subject, input, expected) in FAULTS {
        let (_device, target) = device(&format!(
            "faults:\n  - {{{fault}, says: [the driver speaks], at: {{name: culprit}}}}"
        ));
        let (_folder, model) = stored(&network(subject));
        let seconds = if *expected == "timed_out" { 3 } else { 60 };
        let (_, run) = within(seconds, "run", &model, input, &target);
        assert_eq!(kind(&run), *expected, "run, {fault} on {subject}: {run:#}");
        let (_, walk) = within(seconds, "walk", &model, input, &target);
        assert_eq!(kind(&walk), *expected, "walk, {fault} on {subject}: {walk:#}");
        if ["divergent", "nonfinite"].contains(expected) && !fault.contains("liar") {
            assert_eq!(sources(&walk), ["culprit"], "{fault} on {subject}: {walk:#}");
        }
        for report in [&run, &walk] {
            let said = evidence(report).matches("simulated driver: the driver speaks").count();
            // A liar is silent while its values are read, and does not repeat itself.
            assert!(said == 1, "{fault}: {}", evidence(report));
        }
    }
}

#[test]
fn every_fault_is_in_the_table() {
    for fault in offby::sim::Fault::ALL {
        let row = format!("fault: {}", fault.name());
        let is_row = |text: &str| text == row || text.starts_with(&format!("{row},"));
        assert!(FAULTS.iter().any(|(text, ..)| is_row(text)), "{row}");
        let listed = std::fs::read_to_string("fixtures/devices/README.md").unwrap();
        assert!(listed.contains(&format!("`{}`", fault.name())), "{row} in the README of devices");
    }
}

/// Network, feed, device, verdict of `run`, and what the preview or the sentence must contain. (GELU in single
/// `f16` nodes is off at inputs for which 1 + erf cancels: a walk calls that precision, a run cannot know.)
const CASES: &[(&str, &str, &str, &str, &str, &str)] = &[
    (
        "A1",
        "efformer_mlp_gelu",
        "ones",
        "vim3-android-vulkan",
        "nonfinite",
        "[len: 401408] (0: nan) (1: nan) (-2: 3.80469) (-1: 3.80469)",
    ),
    (
        "A1 elsewhere",
        "efformer_mlp_gelu",
        "ones",
        "orin-vulkan",
        "explained",
        "[len: 401408] (0: -0) (1: -0) (-2: 3.80469) (-1: 3.80469)",
    ),
    (
        "A2",
        "split_view",
        "arange",
        "vim3-android-vulkan",
        "explained",
        "[len: 1024] (0: 0) (1: 1) (-2: 4046) (-1: 4048)",
    ),
    (
        "A2",
        "split_view",
        "arange",
        "vim3-android-opencl",
        "explained",
        "[len: 1024] (0: 0) (1: 1) (-2: 4046) (-1: 4048)",
    ),
    (
        "A2 small",
        "split_view_small",
        "arange",
        "vim3-android-vulkan",
        "agrees",
        "[len: 256] (0: 0) (1: 1) (-2: 974) (-1: 975)",
    ),
    (
        "A3",
        "attention_bias",
        "ones",
        "vim3-android-vulkan",
        "divergent",
        "[len: 153664] (0: 6.64453) (1: -3.47656) (-2: 1) (-1: 1)",
    ),
    ("A4", "linear_bn", "ones", "edge2-linux-opencl", "nonfinite", "[len: 50176] (0: nan) (1: "),
    ("A8", "group_norm", "ones", "mix2s-opencl", "nonfinite", "(0: nan)"),
    ("A9", "group_norm", "ones", "edge2-linux-opencl", "rejected", "cannot compile its kernel"),
    (
        "A11",
        "resnet50_head",
        "ones",
        "vim3-android-opengl",
        "divergent",
        "[len: 10] (0: 0) (1: 0) (-2: 0) (-1: 0)",
    ),
    ("A12", "resnet50_head", "ones", "edge2-linux-opengl-panfrost", "nondeterministic", "bytes"),
    ("A13", "group_norm", "ones", "vim3-android-vulkan-unsynced", "nondeterministic", "bytes"),
    ("A14", "split_view", "ones", "rpi4-vulkan", "crashed", "SIGABRT"),
    ("A15", "split_view", "ones", "edge2-linux-opengl-g13", "crashed", "SIGSEGV"),
];

#[test]
fn the_cases_of_the_wiki_come_out() {
    for (case, model, input, name, expected, holds) in CASES {
        let path = debug_model(&format!("{model}.onnx"));
        let (_, report) = go("run", &path, input, &format!("sim:{name}"));
        assert_eq!(kind(&report), *expected, "{case}: {report:#}");
        let seen = match first_target(&report)["outputs"][0]["comparison"].is_null() {
            true => sentence(&report).to_owned(),
            false => format!("{} {}", preview(&report), sentence(&report)),
        };
        assert!(seen.contains(holds), "{case}: {seen}");
    }
}

/// A5 to A7: three layers lose digits layer by layer, by more than storage alone; no layer is to blame.
#[test]
fn sums_in_f16_add_up_layer_by_layer() {
    let error = |layers: usize, target: &str| {
        let model = debug_model(&format!("efformer_mlp_{layers}.onnx"));
        let (_, report) = go("walk", &model, "ones", target);
        assert_eq!(sources(&report), [""; 0], "{target}");
        first_target(&report)["outputs"][0]["comparison"]["rel_l2"].as_f64().unwrap()
    };
    let sums: Vec<f64> = (1..=3).map(|layers| error(layers, "sim:edge2-linux-opencl")).collect();
    for (layers, sums) in (1..=3).zip(&sums) {
        let storage = error(layers, "sim:vim3-android-opencl");
        assert!(*sums > 1.2 * storage, "{layers}: {sums} {storage}");
    }
    assert!(sums[2] > sums[0] && sums[2] > sums[1], "{sums:?}");
}

#[test]
fn honest_devices_are_not_accused() {
    for entry in std::fs::read_dir(debug_model("")).unwrap() {
        let path = entry.unwrap().path();
        // The padding of `pool_sentinel` is beyond f16: that is the point of its case.
        let is_case = path.file_stem().is_some_and(|stem| stem == "pool_sentinel");
        if is_case || path.extension().is_none_or(|end| end != "onnx") {
            continue;
        }
        let model = Model::load(&path).unwrap();
        for format in ["f32", "f16", "f16-toward-zero", "bf16", "tf32"] {
            let inputs =
                if format.contains('b') { &["normal:1", "sine"][..] } else { &["normal:1"] };
            for input in inputs {
                let mut command = offby();
                command.arg("walk").arg(&path).args(["--json", "-"]);
                command.args(["--on", &format!("sim:honest-{format}")]);
                for value in model.inputs() {
                    command.args(["--input", &format!("{}={input}", value.name)]);
                }
                let (_, report) = finish_json(command);
                let what = format!("{} {format} {input}", path.display());
                assert_eq!(sources(&report), [""; 0], "{what}: {report:#}");
                // Honest roundings may add up to more than the tolerance for a whole output.
                let kinds = if format == "f32" {
                    &["agrees"][..]
                } else {
                    &["agrees", "explained", "precision"]
                };
                assert!(kinds.contains(&kind(&report)), "{what}: {}", sentence(&report));
            }
        }
    }
}

#[test]
fn weights_in_few_bits_cost_precision() {
    let (_device, target) = device("weight_bits: 4");
    let (_, report) = go("run", &debug_model("efformer_mlp_1.onnx"), "normal:1", &target);
    assert_eq!(kind(&report), "divergent");
    let (_, report) =
        go("run", &debug_model("efformer_mlp_1.onnx"), "normal:1", "sim:weights-int8");
    let error = first_target(&report)["outputs"][0]["comparison"]["rel_l2"].as_f64().unwrap();
    assert!((1e-4..1e-1).contains(&error), "{error}");
}

#[test]
fn a_share_of_the_runs_is_spread_evenly() {
    let (_device, target) = device("faults:\n  - {fault: scale, at: {name: culprit, share: 0.5}}");
    let (_folder, model) = stored(&network("Relu"));
    let (_, report) = go("run", &model, "normal:1", &target);
    assert_eq!(kind(&report), "nondeterministic");
    assert_eq!(first_target(&report)["runs"]["repeats"], 3);
}

#[test]
fn a_device_says_everywhere_that_it_is_simulated() {
    for (command, target) in [
        ("run", "sim:vim3-android-vulkan"),
        ("walk", "sim:vim3-android-vulkan"),
        ("run", "sim:rpi4-vulkan"),
        ("run", "sim:honest-f16"),
    ] {
        let model = debug_model("split_view_small.onnx");
        let (_, report) = go(command, &model, "arange", target);
        if !target.contains("rpi4") {
            let ran_on = &first_target(&report)["ran_on"];
            assert_eq!(
                (&ran_on["engine"], &ran_on["backend"]),
                (&"sim".into(), &"simulated".into())
            );
            assert!(ran_on["device"].as_str().unwrap().starts_with("simulated "), "{ran_on}");
        }
        let mut text = offby();
        text.arg(command).arg(&model).args(["--on", target]);
        let (_, stdout, _) = finish(text);
        assert!(stdout.contains("note: simulated"), "{stdout}");
    }
}

#[test]
fn what_is_shrunk_on_a_simulated_device_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = offby();
    command.arg("shrink").arg(debug_model("attention_bias.onnx"));
    command
        .args(["--input", "ones", "--on", "sim:vim3-android-vulkan", "--out"])
        .arg(folder.path());
    let (code, stdout, stderr) = finish(command);
    let summary = std::fs::read_to_string(folder.path().join("summary.md")).unwrap();
    assert_eq!(code, 1, "{stdout}{stderr}");
    for text in [stdout, summary] {
        assert!(text.contains("note: simulated Khadas Vim3"), "{text}");
    }
}

#[test]
fn a_network_with_a_shape_of_the_command_line_runs() {
    let network = Network::new("open")
        .input("x", F32, &[0, 4])
        .node("culprit", "Relu", &["x"], &["y"], &[])
        .output("y", F32, &[2, 4]);
    let (_folder, model) = stored(&network);
    let mut command = offby();
    command.arg("run").arg(model).args(["--on", "sim:honest-f32", "--shape", "x=2,4"]);
    let (code, stdout, stderr) = finish(command);
    assert_eq!(code, 0, "{stdout}{stderr}");
}

#[test]
fn what_cannot_be_read_is_a_failure_of_ours_with_a_hint() {
    let model = debug_model("split_view_small.onnx");
    let (_device, malformed) = device("faults:\n  - fault: naive-gleu");
    for (target, what, hint) in [
        ("sim:vim3-andriod-vulkan", "vim3-andriod-vulkan", "sim:vim3-android-vulkan"),
        ("sim:nowhere/device.yaml", "nowhere/device.yaml", "path"),
        (&malformed, "device.yaml:4:12: faults[0].fault", "naive-gelu"),
        ("sim:honest-f32,at=3", "at=3", "YAML"),
        ("sim", "names no device", "doctor"),
    ] {
        let mut command = offby();
        command.arg("run").arg(&model).args(["--on", target]);
        let (code, _, stderr) = finish(command);
        assert_eq!(code, 2, "{target}: {stderr}");
        let (error, help) = stderr.split_once("hint: ").unwrap();
        assert!(error.contains(what) && help.contains(hint), "{target}: {stderr}");
    }
}
