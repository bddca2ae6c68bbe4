//! `offby walk` on real drivers: which operators introduce error, and which only carry it.

use crate::support::{debug_model, device, finish_json, first_target, need, offby};
use serde_json::Value;

fn walk(model: &str, input: &str, target: &str) -> (i32, Value) {
    let mut command = offby();
    command.arg("walk").arg(debug_model(model));
    command.args(["--input", input, "--on", target, "--json", "-"]);
    finish_json(command)
}

fn names(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect()
}

#[test]
#[ignore = "needs the driver of mnn:vulkan:low"]
fn three_layers_of_f16_are_explained_and_add_up() {
    need("mnn:vulkan:low");
    let (code, report) = walk("efformer_mlp_3.onnx", "ones", "mnn:vulkan:low");
    let walk = &first_target(&report)["walk"];
    assert_eq!(code, 0, "{report:#}");
    assert_eq!(names(&walk["sources"]), [""; 0]);
    assert_eq!(walk["storage"], "f16");
    assert_eq!(first_target(&report)["verdict"]["kind"], "explained");
    let ops = walk["ops"].as_array().unwrap();
    assert!(ops.iter().all(|op| op["ratio"].as_f64().unwrap() < 4.0), "{ops:#?}");
    let convolutions =
        ops.iter().filter(|op| op["op_type"].as_str().unwrap().contains("Convolution"));
    let errors: Vec<f64> = convolutions.map(|op| op["cumulative"].as_f64().unwrap()).collect();
    assert!(errors.is_sorted() && errors.len() == 3, "{errors:?}");
    assert_eq!(walk["ops_compared"], walk["ops_total"]);
    assert_eq!(walk["disturbed_by_taps"], false);
    // The converter causes MNN's approximate GELU, so Vulkan is not accused.
    assert_eq!(walk["first_converted"], "/network/0/0/mlp/act/Mul_1_output_0");
}

#[test]
#[ignore = "needs the driver of mnn:cpu"]
fn the_cpu_against_itself_has_no_source() {
    need("mnn:cpu");
    for model in ["efformer_mlp_gelu.onnx", "group_norm.onnx", "attention_bias.onnx"] {
        let (code, report) = walk(model, "normal:3", "mnn:cpu");
        // The walk names the converter for MNN's approximate GELU, on every backend.
        let expected = if model == "efformer_mlp_gelu.onnx" { 1 } else { 0 };
        assert_eq!(code, expected, "{model}: {report:#}");
        assert_eq!(names(&first_target(&report)["walk"]["sources"]), [""; 0], "{model}");
    }
}

#[test]
#[ignore = "needs the driver of mnn:vulkan:high"]
fn a_backend_and_a_converter_are_both_named() {
    need("mnn:vulkan:high");
    let (code, report) = walk("efformer_mlp_gelu.onnx", "sine", "mnn:vulkan:high");
    let target = first_target(&report);
    let sentence = target["verdict"]["sentence"].as_str().unwrap();
    assert_eq!((code, target["verdict"]["kind"].as_str()), (1, Some("divergent")), "{sentence}");
    // The fused GELU is no single node, so MNN's CPU is the measure, and the CPU is six times as far off itself.
    assert!(sentence.contains("against the engine's own CPU on the same inputs"), "{sentence}");
    assert!(
        sentence.contains("; apart from that, the converter changed the network"),
        "{sentence}"
    );
    assert_eq!(target["origin"]["kind"], "converter");
    assert_eq!(target["origin"]["explains_outputs"], false);
}

#[test]
#[ignore = "needs the driver of mnn:vulkan:high"]
fn an_error_is_measured_from_the_reference_if_the_cpu_is_wrong_as_well() {
    need("mnn:vulkan:high");
    let (_, report) = walk("pool_sentinel.onnx", "sine", "mnn:vulkan:high");
    let walk = &first_target(&report)["walk"];
    let op = walk["ops"].as_array().unwrap().iter().find(|op| op["role"] == "source").unwrap();
    // 128 of 324 elements are -1e5, where -3.4e38 is right and MNN's CPU has -1.7e7.
    assert!((op["introduced"].as_f64().unwrap() - 1.0).abs() < 1e-6, "{op:#}");
    assert!(first_target(&report)["origin"].is_null());
    let seen: Vec<&str> = op["diagnosis"]
        .as_array()
        .unwrap()
        .iter()
        .map(|pattern| pattern["name"].as_str().unwrap())
        .collect();
    assert_eq!(seen, ["saturated", "border"], "{op:#}");
}

#[test]
#[ignore = "needs the driver of mnn:vulkan:low"]
fn an_overflow_is_not_blamed_on_a_kernel_of_the_cpu() {
    need("mnn:vulkan:low");
    let (_, report) = walk("pool_sentinel.onnx", "normal:0", "mnn:vulkan:low");
    let target = first_target(&report);
    let sentence = target["verdict"]["sentence"].as_str().unwrap();
    assert_eq!(target["verdict"]["kind"], "divergent", "{sentence}");
    assert!(sentence.contains("beyond the largest value of f16"), "{sentence}");
}

#[test]
#[ignore = "needs the driver of mnn:vulkan"]
fn a_walk_that_falls_back_is_no_walk() {
    need("mnn:vulkan");
    let mut command = offby();
    command.env("VK_DRIVER_FILES", "/nonexistent").env("VK_ICD_FILENAMES", "/nonexistent");
    command.arg("walk").arg(debug_model("split_view.onnx")).args([
        "--on",
        "mnn:vulkan",
        "--json",
        "-",
    ]);
    let (code, report) = finish_json(command);
    assert_eq!((code, first_target(&report)["outcome"].as_str()), (3, Some("fell_back")));
    assert!(first_target(&report)["walk"].is_null());
}

/// Networks and targets with a finding that a case in `fixtures/` describes.
const KNOWN: [(&str, &str); 6] = [
    ("layer_norm_256.onnx", "mnn:opencl:high"),
    ("rms_norm.onnx", "mnn:opencl:high"),
    ("efformer_mlp_gelu.onnx", "mnn:vulkan:high"),
    ("pool_sentinel.onnx", "mnn:opencl:high"),
    ("pool_sentinel.onnx", "mnn:vulkan:high"),
    // Its Pad writes -3.4e38, which is beyond f16: the walk names an overflow.
    ("pool_sentinel.onnx", "mnn:vulkan:low"),
];

/// The long test: `just sweep`.
#[test]
#[ignore = "takes minutes; run it with `just sweep`"]
fn sweep_no_seed_gives_a_false_source() {
    let (mut walks, mut accused) = (0, Vec::new());
    for entry in std::fs::read_dir(debug_model("")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if !name.ends_with(".onnx") {
            continue;
        }
        let model = offby::graph::Model::load(&debug_model(&name)).unwrap();
        for target in ["mnn:opencl:high", "mnn:vulkan:high", "mnn:vulkan:low", "mnn:cpu"] {
            if KNOWN.contains(&(name.as_str(), target)) {
                continue;
            }
            for seed in 0..5 {
                let mut command = offby();
                command.arg("walk").arg(debug_model(&name)).args(["--on", target, "--json", "-"]);
                for input in model.inputs().iter().filter(|input| input.dtype.is_float()) {
                    command.arg("--input").arg(format!("{}=normal:{seed}", input.name));
                }
                let found = first_target(&finish_json(command).1).clone();
                assert_eq!(found["outcome"], "completed", "{name} {target} {seed}");
                let sources = names(&found["walk"]["sources"]);
                if !sources.is_empty() {
                    accused.push(format!("{name} {target} {seed}: {sources:?}"));
                }
                walks += 1;
            }
        }
    }
    assert!(accused.is_empty(), "{} of {walks} walks: {accused:#?}", accused.len());
    eprintln!("{walks} walks, no source");
}

/// A simulated device with a fault planted in one node: exit code, verdict and report of the walk.
fn planted(fault: &str, extra: &[&str]) -> (i32, String, Value) {
    let fault = format!("faults:\n  - {{fault: {fault}, at: {{name: {PLANTED}}}}}");
    let (_folder, target) = device(&fault);
    simulated(&target, extra)
}

fn simulated(target: &str, extra: &[&str]) -> (i32, String, Value) {
    let mut command = offby();
    command.arg("walk").arg(debug_model("efformer_mlp_3.onnx"));
    command.args(["--input", "ones", "--on", target, "--json", "-"]).args(extra);
    let (code, report) = finish_json(command);
    let kind = first_target(&report)["verdict"]["kind"].as_str().unwrap().to_owned();
    (code, kind, report)
}

const PLANTED: &str = "/network/0/0/mlp/act/Erf";

#[test]
fn planted_faults_are_named() {
    for (fault, expected) in [("nan", "nonfinite"), ("scale", "divergent"), ("zero", "divergent")] {
        let (code, kind, report) = planted(fault, &[]);
        assert_eq!((code, kind.as_str()), (1, expected), "{report:#}");
        assert_eq!(names(&first_target(&report)["walk"]["sources"]), [PLANTED]);
        assert_eq!(first_target(&report)["verdict"]["confidence"]["reproduced"], 2);
    }
    let (_, _, zero) = planted("zero", &[]);
    let diagnosis = &first_target(&zero)["verdict"]["diagnosis"][0];
    assert!(diagnosis.as_str().unwrap().contains("all zero"), "{diagnosis}");
}

#[test]
fn an_honest_device_is_not_accused() {
    let (code, kind, _) = simulated("sim:honest-f32", &[]);
    assert_eq!((code, kind.as_str()), (0, "agrees"));
    for format in ["f16", "f16-toward-zero", "bf16", "tf32"] {
        let (code, kind, report) = simulated(&format!("sim:honest-{format}"), &[]);
        assert_eq!((code, kind.as_str()), (0, "explained"), "{report:#}");
        assert_eq!(names(&first_target(&report)["walk"]["sources"]), [""; 0]);
        let storage = first_target(&report)["walk"]["storage"].as_str().unwrap().to_owned();
        assert!(format.starts_with(&storage) || format == "tf32", "{format}: {storage}");
    }
}

#[test]
fn a_driver_that_differs_on_every_run_is_found_out() {
    let (code, kind, report) = planted("random", &[]);
    assert_eq!((code, kind.as_str()), (1, "nondeterministic"));
    assert_eq!(first_target(&report)["walk"]["trust"]["first_unstable"], PLANTED);
}

#[test]
fn a_driver_that_lies_to_the_taps_is_found_out() {
    let (code, kind, report) = planted("liar", &[]);
    assert_eq!((code, kind.as_str()), (1, "divergent"));
    assert_eq!(first_target(&report)["walk"]["disturbed_by_taps"], true);
    let sentence = first_target(&report)["verdict"]["sentence"].as_str().unwrap();
    assert!(sentence.contains("reading intermediate tensors changes"), "{sentence}");
}

#[test]
fn a_crash_and_a_hang_are_named_with_their_operator() {
    let ends = [("abort", "crashed"), ("segfault", "crashed"), ("hang", "timed_out")];
    for (fault, expected) in ends {
        let (code, kind, report) = planted(fault, &["--timeout", "4"]);
        assert_eq!((code, kind.as_str()), (3, expected), "{report:#}");
        let sentence = first_target(&report)["verdict"]["sentence"].as_str().unwrap();
        assert!(sentence.contains("operator 3") && sentence.contains(PLANTED), "{sentence}");
    }
}

#[test]
fn what_the_first_run_showed_stands_when_the_second_one_crashes() {
    let faults = format!(
        "faults:\n  - {{fault: scale, at: {{name: {PLANTED}}}}}\n  - {{fault: abort, at: {{index: 0, share: 0.5}}}}"
    );
    let (_folder, target) = device(&faults);
    let (code, kind, report) = simulated(&target, &[]);
    assert_eq!((code, kind.as_str()), (3, "crashed"), "{report:#}");
    assert_eq!(names(&first_target(&report)["walk"]["sources"]), [PLANTED]);
    let sentence = first_target(&report)["verdict"]["sentence"].as_str().unwrap();
    assert!(sentence.contains("was not repeated, `/network/0/0/mlp/act/Erf`"), "{sentence}");
}

#[test]
#[ignore = "needs the driver of mnn:vulkan:low"]
fn what_weights_of_8_bits_cost_stands_beside_what_the_backend_costs() {
    need("mnn:vulkan:low");
    for target in ["mnn:cpu,weights=int8", "mnn:vulkan:low,weights=int8-asym"] {
        let (_, report) = walk("small_mlp.onnx", "normal:1", target);
        let walk = &first_target(&report)["walk"];
        let cost = |op: &Value, of: &str| op["weights"][of].as_f64().unwrap_or(0.0);
        let ops = walk["ops"].as_array().unwrap();
        assert!(ops.iter().any(|op| cost(op, "introduced") > 1e-4), "{target}: {ops:#?}");
        let last = ops.iter().rfind(|op| op["weights"]["together"].is_number()).unwrap();
        let (weights, together) = (cost(last, "cumulative"), cost(last, "together"));
        let backend = last["cumulative"].as_f64().unwrap();
        // Errors add up like vectors, so they may also cancel.
        assert!(together <= 1.01 * (weights + backend), "{weights} {backend} {together}");
        assert!(together >= 0.99 * (weights - backend).abs(), "{weights} {backend} {together}");
        // The output is one number: the errors of 32 weights may almost cancel in it.
        assert!(weights > 1e-6 && names(&walk["sources"]).is_empty(), "{target}: {last}");
        assert!(target.starts_with("mnn:vulkan") || backend < 1e-6, "{backend}");
    }
}
