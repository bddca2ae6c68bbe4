//! Engines other than MNN: ONNX Runtime through its C library, and ncnn behind a worker in Python. Also MNN's second file.

use crate::support::judge::Judge;
use crate::support::{debug_model, finish, finish_json, first_target, need, offby};
use offby::graph::{Attribute, Network};
use offby::tensor::Dtype::{F32, I64};
use offby::tensor::Tensor;
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use tempfile::TempDir;

fn run(model: &PathBuf, arguments: &[&str]) -> (i32, Value) {
    let mut command = offby();
    command.arg("run").arg(model).args(["--json", "-", "--repeat", "1"]).args(arguments);
    finish_json(command)
}

fn debug_networks() -> Vec<PathBuf> {
    let folder = debug_model("split_view.onnx").parent().unwrap().to_owned();
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.extension().is_some_and(|end| end == "onnx")).collect()
}

#[test]
#[ignore = "needs the driver of ort:cpu"]
fn onnx_runtime_agrees_with_tract_on_every_debug_network() {
    need("ort:cpu");
    // One command for all networks: its text names every network that does not agree.
    let mut command = offby();
    command.arg("run").args(debug_networks()).args(["--on", "ort:cpu", "--repeat", "2"]);
    let (code, stdout, _) = finish(command);
    assert_eq!(code, 0, "{stdout}");
    assert_eq!(stdout.matches("ort:cpu agrees").count(), debug_networks().len(), "{stdout}");
}

/// An engine without taps is walked by making every value an output.
#[test]
#[ignore = "needs the driver of ort:cpu"]
fn onnx_runtime_is_walked_on_every_debug_network() {
    need("ort:cpu");
    for model in debug_networks() {
        let mut command = offby();
        command.arg("walk").arg(&model).args(["--on", "ort:cpu", "--json", "-"]);
        let (code, report) = finish_json(command);
        let target = first_target(&report);
        let walk = &target["walk"];
        assert_eq!(code, 0, "{}: {target:#}", model.display());
        assert_eq!(walk["strategy"], "dump", "{}: {target:#}", model.display());
        assert_eq!(walk["sources"].as_array().unwrap().len(), 0, "{}", model.display());
        assert_eq!(walk["ops_compared"], walk["ops_total"], "{}", model.display());
    }
}

/// A sample of each value chooses the values that are compared whole. The node is named if later nodes read its wrong
/// value, and is not accused if they read the right one.
#[test]
#[ignore = "needs onnx and onnxruntime for Python"]
fn a_sampled_walk_names_what_a_whole_walk_names() {
    let python = Judge::start().python().display().to_string();
    let model = offby::graph::Model::load(&debug_model("efformer_mlp_3.onnx")).unwrap();
    let nodes: Vec<(String, String)> = model
        .nodes()
        .filter(|node| node.op_type != "Constant")
        .map(|node| (node.label().to_owned(), node.outputs[0].clone()))
        .collect();
    for (mode, step) in [("computed", 2), ("shown", 5)] {
        for (label, value) in nodes.iter().filter(|(_, value)| value.contains('/')).step_by(step) {
            let via = format!("{python} tests/it/support/faulty_worker.py {mode} {value}");
            let mut command = offby();
            command.arg("walk").arg(debug_model("efformer_mlp_3.onnx")).args(["--via", &via]);
            command.args(["--on", "ext:faulty", "--sample", "64,2", "--json", "-"]);
            let (code, report) = finish_json(command);
            let walk = &first_target(&report)["walk"];
            let named = if mode == "computed" { vec![label.as_str()] } else { Vec::new() };
            assert_eq!((code, &walk["sources"]), (named.len() as i32, &json!(named)), "{walk:#}");
            let sampled = &walk["sampled"];
            assert!(sampled["whole"].as_u64() < sampled["values"].as_u64(), "{sampled}");
        }
    }
}

/// With `--sample`, a value is asked for whole if its sample is suspicious.
#[test]
#[ignore = "needs the driver of ort:cpu"]
fn samples_of_onnx_runtime_are_walked() {
    need("ort:cpu");
    for name in ["efformer_mlp_3.onnx", "segmentation.onnx", "basic_block.onnx"] {
        let mut command = offby();
        command.arg("walk").arg(debug_model(name)).args(["--on", "ort:cpu", "--json", "-"]);
        command.args(["--sample", "128"]);
        let (code, report) = finish_json(command);
        let target = first_target(&report);
        assert_eq!(code, 0, "{name}: {target:#}");
        let sampled = &target["walk"]["sampled"];
        assert!(sampled["values"].as_u64() > sampled["whole"].as_u64(), "{name}: {sampled}");
    }
}

#[test]
fn without_its_library_onnx_runtime_is_unavailable() {
    let mut command = offby();
    command.arg("run").arg(debug_model("small_mlp.onnx")).args(["--on", "ort:cpu", "--json", "-"]);
    command.env("ORT_DYLIB_PATH", "/there/is/no/libonnxruntime.so");
    let (code, report) = finish_json(command);
    let verdict = &first_target(&report)["verdict"];
    assert_eq!((code, verdict["kind"].as_str().unwrap()), (3, "unavailable"), "{report:#}");
    assert!(verdict["hint"].as_str().unwrap().contains("pip install onnxruntime"), "{verdict}");
}

#[test]
#[ignore = "needs onnx and onnxruntime for Python"]
fn ncnn_on_vulkan_runs_debug_networks_behind_a_worker_in_python() {
    let judge = Judge::start();
    let python = judge.python().display();
    let via = format!("{python} examples/ncnn_worker.py");
    for model in ["basic_block.onnx", "split_view_small.onnx", "group_norm.onnx"] {
        let (code, report) = run(&debug_model(model), &["--on", "ext:ncnn", "--via", &via]);
        let target = first_target(&report);
        assert_eq!(code, 0, "{model}: {target:#}");
        assert_eq!(target["ran_on"]["engine"], "ncnn");
        assert_eq!(target["ran_on"]["backend"], "vulkan");
        assert!(target["ran_on"]["operators"]["vulkan"].as_u64().unwrap() > 0);
    }
    let (code, report) = run(&debug_model("rms_norm.onnx"), &["--on", "ext:ncnn", "--via", &via]);
    let sentence = first_target(&report)["verdict"]["sentence"].as_str().unwrap().to_owned();
    assert_eq!(code, 3, "{report:#}");
    assert!(sentence.contains("no batch of 4"), "{sentence}");
}

/// The file has a hole of three gibibytes, which takes no room on the disk.
#[test]
#[ignore = "needs onnx and onnxruntime for Python"]
fn a_network_over_two_gibibytes_is_read_from_its_file() {
    let python = Judge::start().python().display().to_string();
    let folder = tempfile::tempdir().unwrap();
    let (rows, width) = (3 << 18, 1 << 10);
    let table = fs::File::create(folder.path().join("table")).unwrap();
    table.set_len((rows * width * 4) as u64).unwrap();
    let network = Network::new("table").input("ids", I64, &[4]);
    let network = network.external_initializer("table", F32, &[rows, width], ("table", 0));
    let network = network.node("rows", "Gather", &["table", "ids"], &["found"], &[]);
    let network = network.node("add", "Add", &["found", "one"], &["y"], &[]);
    let one = Tensor::from_f32(&[1], vec![1.0]).unwrap();
    let network = network.initializer("one", &one).output("y", F32, &[4, width]);
    let model = folder.path().join("table.onnx");
    fs::write(&model, network.to_bytes()).unwrap();
    let via = format!("{python} examples/worker.py");
    let here = ["--reference", "ort:cpu", "--input", "ids=ids:7"];
    let there = ["--on", "ext:ort", "--via", &via];
    let (code, report) = run(&model, &[&here[..], &there[..]].concat());
    assert_eq!(code, 0, "{report:#}");
    let output = &first_target(&report)["outputs"][0];
    assert_eq!(output["comparison"]["max_abs"], 0.0, "{report:#}");
    let left: Vec<_> =
        fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "the worker removes its own file: {left:?}");
}

/// Asked for every value, an engine that fuses gives other results. Then it is asked for those values alone that leave
/// its results as they are.
#[test]
#[ignore = "needs onnx and onnxruntime for Python"]
fn a_fault_of_a_fused_operator_is_not_hidden_by_asking_for_its_input() {
    let python = Judge::start().python().display().to_string();
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("fused.onnx");
    let network = Network::new("fused").input("x", F32, &[2, 8]);
    let network = network.node("/early", "Exp", &["x"], &["early"], &[]);
    let network = network.node("/before", "Neg", &["early"], &["before"], &[]);
    let network = network.node("/half", "Tanh", &["before"], &["half"], &[]);
    let network = network.node("/sign", "Neg", &["half"], &["sign"], &[]);
    let network = network.node("/relu", "Relu", &["sign"], &["y"], &[]);
    fs::write(&model, network.output("y", F32, &[2, 8]).to_bytes()).unwrap();
    let via = format!("{python} tests/it/support/fused_worker.py");
    let mut command = offby();
    command.arg("walk").arg(&model).args(["--on", "ext:fused", "--via", &via, "--json", "-"]);
    let (code, report) = finish_json(command);
    let target = first_target(&report);
    assert_eq!((code, target["verdict"]["kind"].as_str().unwrap()), (1, "divergent"));
    let walk = &target["walk"];
    let source = walk["ops"].as_array().unwrap().iter().find(|op| op["role"] == "source");
    let source = source.unwrap_or_else(|| panic!("no source: {walk:#}"));
    assert_eq!(source["piece"], json!(["/sign", "/relu"]), "{source:#}");
    assert!(walk["splits_fusions"].is_null(), "{walk:#}");
    // A sampled walk asks for few values, and keeps the piece that a further value would split.
    let mut command = offby();
    command.arg("walk").arg(&model).args(["--on", "ext:fused", "--via", &via, "--json", "-"]);
    command.args(["--sample", "4"]);
    let (code, report) = finish_json(command);
    let walk = &first_target(&report)["walk"];
    let source = walk["ops"].as_array().unwrap().iter().find(|op| op["role"] == "source");
    assert_eq!((code, &source.unwrap()["piece"]), (1, &json!(["/sign", "/relu"])), "{walk:#}");
}

/// MNN's Softmax on Vulkan reads the row's maximum from shared memory. Then it writes partial sums over the
/// maximum, without a barrier in between. llvmpipe runs one subgroup after the other, so all but the first read
/// a sum. A row one element longer than a subgroup has lanes shows the fault, for any number of lanes.
#[test]
#[ignore = "needs the driver of mnn:vulkan:high"]
fn softmax_on_vulkan_is_right_within_one_subgroup_only() {
    need("mnn:vulkan:high");
    let folder = tempfile::tempdir().unwrap();
    let targets = folder.path().join("targets.yaml");
    fs::write(&targets, lanes(4) + &lanes(8)).unwrap();
    for (name, length, expected) in [("4", 4, 0), ("4", 5, 1), ("8", 8, 0), ("8", 9, 1)] {
        let model = folder.path().join(format!("softmax{length}.onnx"));
        let network = Network::new("softmax").input("x", F32, &[1, 1, 1, length]);
        let axis = [("axis", Attribute::Int(3))];
        let network = network.node("s", "Softmax", &["x"], &["y"], &axis);
        let bytes = network.output("y", F32, &[1, 1, 1, length]).to_bytes();
        fs::write(&model, bytes).unwrap();
        let targets = targets.to_str().unwrap();
        let on = format!("lanes-{name}");
        let (code, report) = run(&model, &["--input", "zeros", "--on", &on, "--targets", targets]);
        let driver = first_target(&report)["ran_on"]["driver"].as_str().unwrap().to_owned();
        assert!(driver.ends_with(&format!("subgroups of {name}")), "{driver}");
        assert_eq!(code, expected, "{length} elements, subgroups of {name}: {report:#}");
    }
}

/// llvmpipe with this many lanes. Its disk cache would return kernels made for a different number.
fn lanes(count: usize) -> String {
    let head = if count == 4 { "targets:\n" } else { "" };
    let bits = 32 * count;
    format!(
        "{head}  - name: lanes-{count}\n    target: mnn:vulkan:high\n    environment: {{LP_NATIVE_VECTOR_WIDTH: \"{bits}\", MESA_SHADER_CACHE_DISABLE: \"true\"}}\n"
    )
}

/// MNN puts the weights of a model over 2 GB into a second file. If it cannot open the file, it computes with zeros.
#[test]
#[ignore = "needs onnx and onnxruntime for Python"]
fn weights_in_a_second_file_are_opened_or_missed() {
    let folder = TempDir::new().unwrap();
    let (network, model) = (debug_model("basic_block.onnx"), folder.path().join("m.mnn"));
    let mut convert = Command::new(Judge::start().python());
    convert.args(["-c", "import _tools, sys; _tools.mnnconvert(sys.argv)"]);
    convert.args(["-f", "ONNX", "--bizCode", "x", "--saveExternalData", "1", "--modelFile"]);
    convert.arg(&network).arg("--MNNModel").arg(&model).current_dir(folder.path());
    assert!(convert.output().unwrap().status.success());
    let weights = folder.path().join("m.mnn.weight");
    assert!(fs::metadata(&weights).unwrap().len() > 0);
    let found = |command: &str| {
        let mut offby = offby();
        offby.arg(command).arg(&network).arg("--mnn").arg(&model);
        offby.args(["--on", "mnn:cpu", "--json", "-"]);
        let (code, report) = finish_json(offby);
        let verdict = first_target(&report)["verdict"].clone();
        (code, verdict["kind"].clone(), verdict["sentence"].to_string())
    };
    for command in ["run", "walk"] {
        assert_eq!((found(command).0, found(command).1), (0, "agrees".into()), "{command}");
    }
    let refused = |words: &str| {
        for command in ["run", "walk"] {
            let (code, kind, sentence) = found(command);
            assert_eq!((code, kind), (3, "rejected".into()), "{command}");
            assert!(sentence.contains(words), "{sentence}");
        }
    };
    let whole = fs::read(&weights).unwrap();
    fs::write(&weights, &whole[..whole.len() - 1]).unwrap();
    refused("is too short");
    fs::remove_file(&weights).unwrap();
    refused("must be next to MODEL.mnn");
}
