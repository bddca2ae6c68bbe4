//! `offby run` on real engines and drivers: the findings, the sentences, and the exit code.

use crate::support::{debug_model, finish, finish_json, first_target, need, offby};
use serde_json::Value;

fn run_json(model: &str, rest: &[&str]) -> (i32, Value) {
    let mut command = offby();
    command.arg("run").arg(debug_model(model)).args(["--json", "-"]).args(rest);
    finish_json(command)
}

#[test]
#[ignore = "needs the driver of mnn:vulkan:low"]
fn split_view_on_vulkan_low_is_explained_by_f16_toward_zero() {
    need("mnn:vulkan:low");
    let (code, report) =
        run_json("split_view.onnx", &["--input", "arange", "--on", "mnn:vulkan:low"]);
    assert_eq!(code, 0);
    let target = first_target(&report);
    assert_eq!(target["ran_on"]["backend"], "vulkan");
    let output = &target["outputs"][0];
    assert_eq!(output["agreement"], "explained");
    assert_eq!(output["explained_by"]["format"], "f16");
    assert_eq!(output["explained_by"]["rounding"], "toward-zero");
    assert_eq!(output["explained_by"]["share"], 1.0);
    assert_eq!(output["comparison"]["preview"], "[len: 1024] (0: 0) (1: 1) (-2: 4046) (-1: 4046)");
    assert_eq!(
        output["comparison"]["reference_preview"],
        "[len: 1024] (0: 0) (1: 1) (-2: 4046) (-1: 4047)"
    );
    assert_eq!(target["verdict"]["kind"], "explained");
}

/// Open dimensions, also inside branches, get the shapes of the files in a folder or an archive.
#[test]
fn shapes_come_from_what_is_fed() {
    let shape = |report: &Value, input: usize| report["inputs"][input]["shape"].clone();
    let run = |model: &str, inputs: &str| {
        let mut command = offby();
        command.args(["run", model, "--input", inputs, "--on", "tract:f64", "--json", "-"]);
        finish_json(command)
    };
    let (code, report) =
        run("tests/truth/z_open_shape/model.onnx", "tests/truth/z_open_shape/images.npy");
    assert_eq!((code, shape(&report, 0)), (0, serde_json::json!([1, 3, 32, 32])));
    let (code, report) = run("tests/truth/z_open_shape/model.onnx", "tests/truth/z_open_shape");
    assert_eq!((code, shape(&report, 0)), (0, serde_json::json!([1, 3, 32, 32])));
    // This folder contains no file of that name.
    let mut command = offby();
    command.args(["run", "tests/truth/z_open_shape/model.onnx", "--input", "tests/truth/h34"]);
    let (code, _, stderr) = finish({
        command.args(["--on", "tract:f64"]);
        command
    });
    assert!(code == 2 && stderr.contains("it has none of them"), "{code}: {stderr}");
}

#[test]
#[ignore = "needs the driver of mnn:vulkan:low"]
fn split_view_small_is_exact_in_f16() {
    need("mnn:vulkan:low");
    let (code, report) =
        run_json("split_view_small.onnx", &["--input", "arange", "--on", "mnn:vulkan:low"]);
    assert_eq!(code, 0);
    let output = &first_target(&report)["outputs"][0];
    assert_eq!(output["agreement"], "agrees");
    assert_eq!(output["comparison"]["mismatched"], 0);
    assert_eq!(output["comparison"]["preview"], "[len: 256] (0: 0) (1: 1) (-2: 974) (-1: 975)");
}

/// MNN's converter replaces the erf form of GELU by its tanh form, which is off by up to 4.73e-4. These
/// networks must differ from the reference by about that much.
const APPROXIMATE_GELU: &[&str] = &["efformer_mlp_gelu", "efformer_mlp_2", "efformer_mlp_3"];

/// The networks of the first findings. MNN's results for the networks of public issues are in their cases
/// (`fixtures/`), with expected divergences, and `tests/it/cases.rs` checks them.
const FIRST: &[&str] = &[
    "attention_bias",
    "efformer_mlp_1",
    "efformer_mlp_2",
    "efformer_mlp_3",
    "efformer_mlp_gelu",
    "group_norm",
    "linear_bn",
    "resnet50_head",
    "split_view",
    "split_view_small",
];

#[test]
#[ignore = "needs the driver of mnn:cpu:high"]
fn debug_networks_on_the_cpu_differ_by_gelu_alone() {
    need("mnn:cpu:high");
    for name in FIRST {
        let mut command = offby();
        command.arg("run").arg(debug_model(&format!("{name}.onnx")));
        command.args(["--on", "mnn:cpu:high", "--json", "-"]);
        let (code, report) = finish_json(command);
        let output = &first_target(&report)["outputs"][0];
        if APPROXIMATE_GELU.contains(name) {
            let max_abs = output["comparison"]["max_abs"].as_f64().unwrap();
            assert_eq!(code, 1, "{name}: {report:#}");
            assert!((1e-4..2e-3).contains(&max_abs), "{name}: {max_abs}");
        } else {
            assert_eq!(
                (code, output["agreement"].as_str()),
                (0, Some("agrees")),
                "{name}: {report:#}"
            );
        }
        assert_eq!(first_target(&report)["runs"]["identical"], true, "{name}");
    }
}

#[test]
fn debug_networks_agree_with_the_f64_yardstick() {
    for entry in std::fs::read_dir(debug_model("")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|end| end != "onnx") {
            continue;
        }
        let mut command = offby();
        command.arg("run").arg(&path).args(["--on", "tract:f64", "--json", "-"]);
        let (code, report) = finish_json(command);
        assert_eq!(code, 0, "{}: {report:#}", path.display());
    }
}

#[test]
#[ignore = "needs the driver of mnn:opencl:high"]
fn opencl_at_high_precision_agrees() {
    need("mnn:opencl:high");
    let (code, report) = run_json("efformer_mlp_1.onnx", &["--on", "mnn:opencl:high"]);
    assert_eq!(code, 0, "{report:#}");
    assert_eq!(first_target(&report)["ran_on"]["backend"], "opencl");
}

#[test]
#[ignore = "needs the driver of mnn:vulkan"]
fn a_hidden_vulkan_driver_is_a_fallback_and_never_agrees() {
    need("mnn:vulkan");
    let mut command = offby();
    command.env("VK_DRIVER_FILES", "/nonexistent").env("VK_ICD_FILENAMES", "/nonexistent");
    command.arg("run").arg(debug_model("split_view.onnx")).args([
        "--on",
        "mnn:vulkan",
        "--json",
        "-",
    ]);
    let (code, report) = finish_json(command);
    let target = first_target(&report);
    assert_eq!(code, 3);
    assert_eq!(target["outcome"], "fell_back");
    assert_eq!(target["ran_on"]["backend"], "cpu");
    assert_eq!(target["outputs"].as_array().unwrap().len(), 0);
    assert!(
        target["verdict"]["sentence"].as_str().unwrap().contains("finds no device"),
        "{target:#}"
    );
}

#[test]
fn the_same_seed_feeds_the_same_bytes() {
    let digest = |input: &str| {
        let (_, report) = run_json("split_view_small.onnx", &["--input", input, "--on", "tract"]);
        report["inputs"][0]["digest"].as_str().unwrap().to_owned()
    };
    assert_eq!(digest("normal:7"), digest("input=normal:7"));
    assert_ne!(digest("normal:7"), digest("normal:8"));
}

#[test]
#[ignore = "needs the driver of mnn:cpu"]
fn a_deadline_is_kept() {
    need("mnn:cpu");
    let (code, report) = run_json("split_view.onnx", &["--on", "mnn:cpu", "--timeout", "0"]);
    assert_eq!(code, 3);
    assert_eq!(first_target(&report)["outcome"], "timed_out");
}

#[test]
fn the_screen_holds_eighty_columns() {
    let mut command = offby();
    command.arg("run").arg(debug_model("split_view.onnx")).args([
        "--input",
        "arange",
        "--on",
        "tract:f64",
        "--on",
        "mnn:cpu",
    ]);
    let (_, stdout, _) = finish(command);
    assert!(stdout.contains("(-2: 4046) (-1: 4047)"), "{stdout}");
    let model_line = 1;
    for line in stdout.lines().skip(model_line) {
        assert!(line.chars().count() <= 80, "{line:?}");
    }
}

#[test]
fn outputs_are_kept_where_asked() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = offby();
    command
        .arg("run")
        .arg(debug_model("split_view_small.onnx"))
        .args(["--on", "tract:f64", "--out"])
        .arg(folder.path());
    let (code, _, _) = finish(command);
    assert_eq!(code, 0);
    assert!(folder.path().join("report.json").exists());
    let kept = std::fs::read_dir(folder.path().join("reference_tract")).unwrap().count();
    assert_eq!(kept, 1);
}

#[test]
fn the_table_and_the_verdict_say_the_same() {
    // The device sums in 16 bits: that is within the tolerance of f16, and more than storing in f16 costs.
    let mut command = offby();
    command.arg("run").arg(debug_model("efformer_mlp_1.onnx"));
    command.args(["--on", "sim:edge2-android-opencl"]);
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let row = text.lines().find(|line| line.contains(" simulated ")).unwrap();
    assert!(row.contains(" diverges ") && text.contains("divergent: a relative error"), "{text}");
}
