//! Walking from dumps alone: faults are planted in the stream of the reference, and its values dumped.

use crate::support::{debug_model, finish, finish_json, first_target, offby};
use offby::engine::NodeSteps;
use offby::graph::{Model, Network};
use offby::inputs::{Feed, draw};
use offby::tensor::Dtype::F32;
use offby::tensor::{Tensor, write_npy};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

const NETWORK: &str = "efformer_mlp_3.onnx";

/// A network with the values of a device that is wrong in one node.
struct Device {
    values: BTreeMap<String, Tensor>,
    /// The label of the wrong node.
    culprit: String,
}

/// Every element of the culprit's output is 1 % too large, and the rest of the network runs on that. `None` is an
/// honest device.
fn device(model: &Model, feeds: &[Feed], culprit: Option<usize>) -> Device {
    let mut steps = NodeSteps::new(model).unwrap();
    steps.start(feeds).unwrap();
    let mut values = steps.values().clone();
    for step in 0..steps.len() {
        let inputs = steps.inputs(step).unwrap();
        let mut outputs = steps.compute(step, &inputs, &Tensor::clone).unwrap();
        if Some(step) == culprit {
            let Tensor::F32(array) = &outputs[0] else { panic!("not f32") };
            outputs[0] = Tensor::F32(array.mapv(|value| value * 1.01));
        }
        steps.store(step, &outputs);
        values.extend(steps.writes(step).iter().cloned().zip(outputs));
    }
    Device { values, culprit: culprit.map_or(String::new(), |culprit| steps.node(culprit).0) }
}

/// Writes the values that are dumped, under names that files can have.
fn write(device: &Device, folder: &Path, is_dumped: &dyn Fn(&str) -> bool) {
    for (name, tensor) in device.values.iter().filter(|(name, _)| is_dumped(name)) {
        write_npy(&folder.join(format!("{}.npy", name.replace(['/', ':'], "_"))), tensor).unwrap();
    }
}

/// The verdict of a walk from a folder with some of the values, and the source with its piece.
fn walked(device: &Device, is_dumped: &dyn Fn(&str) -> bool) -> (i32, Value) {
    let folder = tempfile::tempdir().unwrap();
    write(device, folder.path(), is_dumped);
    let (code, report) = walk(&["--got".as_ref(), folder.path()]);
    (code, first_target(&report).clone())
}

fn walk(arguments: &[&Path]) -> (i32, Value) {
    let mut command = offby();
    command.arg("walk").arg(debug_model(NETWORK)).args(arguments).args(["--json", "-"]);
    finish_json(command)
}

/// The nodes among which the culprit must be: those of each source's piece, or the source itself.
fn suspects(target: &Value) -> BTreeSet<String> {
    let sources: Vec<&str> =
        target["walk"]["sources"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    let ops = target["walk"]["ops"].as_array().unwrap();
    let of = |op: &Value| -> Vec<String> {
        match op["piece"].as_array() {
            Some(piece) => piece.iter().map(|node| node.as_str().unwrap().to_owned()).collect(),
            None => vec![op["name"].as_str().unwrap().to_owned()],
        }
    };
    ops.iter().filter(|op| sources.contains(&op["name"].as_str().unwrap())).flat_map(of).collect()
}

fn network() -> (Model, Vec<Feed>) {
    let model = Model::load(Path::new(&debug_model(NETWORK))).unwrap();
    let feeds = draw(&model, &BTreeMap::new()).unwrap();
    (model, feeds)
}

#[test]
fn a_whole_dump_names_the_node() {
    let (model, feeds) = network();
    let count = NodeSteps::new(&model).unwrap().len();
    for culprit in 0..count {
        let device = device(&model, &feeds, Some(culprit));
        let (code, target) = walked(&device, &|_| true);
        assert_eq!(code, 1, "{target}");
        assert_eq!(suspects(&target), BTreeSet::from([device.culprit.clone()]), "{target}");
    }
}

#[test]
fn a_target_that_shows_its_operators_is_not_sampled() {
    let mut command = offby();
    command.arg("walk").arg(debug_model(NETWORK)).args(["--on", "mnn:cpu", "--sample", "64"]);
    let (code, _, errors) = finish(command);
    assert_eq!(code, 2, "{errors}");
    assert!(errors.contains("it shows one operator after the other"), "{errors}");
    let mut command = offby();
    command.arg("walk").arg(debug_model(NETWORK)).args(["--got", "dump.npz", "--sample", "64"]);
    assert_eq!(finish(command).0, 2);
}

/// With few values the culprit is in the piece that is named, and the proposed values find it in ⌈log2⌉ rounds.
#[test]
fn a_part_of_a_dump_names_a_piece_and_what_to_dump_next() {
    let (model, feeds) = network();
    let ends = [model.inputs()[0].name.to_string(), model.outputs()[0].to_string()];
    for culprit in [0, 3, 7, 12] {
        let device = device(&model, &feeds, Some(culprit));
        let mut known: BTreeSet<String> = ends.iter().cloned().collect();
        let mut rounds = 0;
        loop {
            let (code, target) = walked(&device, &|name| known.contains(name));
            let found = suspects(&target);
            assert_eq!(code, 1, "{target}");
            assert!(found.contains(&device.culprit), "{} is not in {found:?}", device.culprit);
            rounds += 1;
            if found.len() == 1 {
                break;
            }
            // 16 nodes: four halvings, and the walk that shows the last one.
            assert!(rounds < 6, "{rounds} rounds for {}: {found:?}", device.culprit);
            let next = target["walk"]["ops"].as_array().unwrap().iter();
            let values = next.flat_map(|op| op["decided_by"].as_array().into_iter().flatten());
            known.extend(values.filter_map(|value| value.as_str().map(str::to_owned)));
        }
    }
}

#[test]
fn an_honest_dump_accuses_no_node() {
    let (model, feeds) = network();
    let device = device(&model, &feeds, None);
    let (code, target) = walked(&device, &|name| name.len() % 2 == 0 || name == "output");
    assert_eq!((code, suspects(&target)), (0, BTreeSet::new()), "{target}");
}

/// Qualcomm's tools write a file of `f32` for each value, without a shape, in the device's order of axes, and make a
/// folder of each `/` in a name.
#[test]
fn raw_files_of_a_phone_are_walked() {
    let (model, feeds) = network();
    for culprit in [None, Some(7)] {
        let device = device(&model, &feeds, culprit);
        let folder = tempfile::tempdir().unwrap();
        for (name, tensor) in &device.values {
            let Tensor::F32(array) = tensor else { continue };
            let axes = (0..array.ndim()).filter(|&axis| axis != 1);
            let last: Vec<usize> = match array.ndim() {
                0..=2 => (0..array.ndim()).collect(),
                _ => axes.chain([1]).collect(),
            };
            let last = array.view().permuted_axes(last);
            let bytes: Vec<u8> = last.iter().flat_map(|value| value.to_le_bytes()).collect();
            let file = folder.path().join(format!("{}.raw", name.trim_start_matches('/')));
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, bytes).unwrap();
        }
        // The order of an input's axes is not known, so it is drawn again.
        feeds.iter().for_each(|feed| {
            _ = fs::remove_file(folder.path().join(format!("{}.raw", feed.name)));
        });
        let (code, report) = walk(&["--got".as_ref(), folder.path()]);
        let target = first_target(&report);
        match culprit {
            None => assert_eq!((code, &target["walk"]["sources"]), (0, &json!([])), "{target}"),
            Some(_) => assert_eq!(target["walk"]["sources"], json!([device.culprit]), "{target}"),
        }
        assert!(!target["walk"]["channels_last"].as_array().unwrap().is_empty());
    }
}

/// Two convolutions and an activation; the second one's values have equal extents.
fn square(folder: &Path) -> (std::path::PathBuf, Model, Vec<Feed>) {
    let weights = |shape: &[usize]| {
        let count: usize = shape.iter().product();
        let numbers = (0..count).map(|at| ((at * 7 % 13) as f32 - 6.0) / 8.0).collect();
        Tensor::from_f32(shape, numbers).unwrap()
    };
    let network = Network::new("square")
        .input("x", F32, &[1, 3, 4, 4])
        .initializer("w", &weights(&[6, 3, 1, 1]))
        .initializer("v", &weights(&[4, 6, 1, 1]))
        .node("wide", "Conv", &["x", "w"], &["a"], &[])
        .node("square", "Conv", &["a", "v"], &["b"], &[])
        .node("tanh", "Tanh", &["b"], &["y"], &[])
        .output("y", F32, &[1, 4, 4, 4]);
    let file = folder.join("square.onnx");
    fs::write(&file, network.to_bytes()).unwrap();
    let model = Model::load(&file).unwrap();
    let feeds = draw(&model, &BTreeMap::new()).unwrap();
    (file, model, feeds)
}

/// Exit code and sources of a walk from a folder.
fn sources_of(file: &Path, dump: &Path) -> (i32, Value) {
    let mut command = offby();
    command.arg("walk").arg(file).arg("--got").arg(dump).args(["--json", "-"]);
    let (code, report) = finish_json(command);
    (code, first_target(&report)["walk"]["sources"].clone())
}

/// A value with equal extents does not show its order of axes, but the other values of the dump do.
#[test]
fn a_dump_with_channels_last_accuses_no_value_of_equal_extents() {
    let folder = tempfile::tempdir().unwrap();
    let (file, model, feeds) = square(folder.path());
    for (culprit, right) in [(None, (0, json!([]))), (Some(1), (1, json!(["square"])))] {
        let device = device(&model, &feeds, culprit);
        let dump = tempfile::tempdir().unwrap();
        for (name, tensor) in &device.values {
            let Tensor::F32(array) = tensor else { continue };
            let last = array.view().permuted_axes(vec![0, 2, 3, 1]);
            let last = Tensor::F32(last.as_standard_layout().into_owned());
            write_npy(&dump.path().join(format!("{name}.npy")), &last).unwrap();
        }
        assert_eq!(sources_of(&file, dump.path()), right);
    }
}

/// An engine that writes an activation over its input shows the activation twice, and computes with the right values.
#[test]
fn a_value_that_is_shown_wrongly_is_no_fault() {
    let folder = tempfile::tempdir().unwrap();
    let (file, model, feeds) = square(folder.path());
    let mut device = device(&model, &feeds, None);
    let shown = device.values["y"].clone();
    device.values.insert("b".into(), shown);
    let dump = tempfile::tempdir().unwrap();
    write(&device, dump.path(), &|_| true);
    assert_eq!(sources_of(&file, dump.path()), (0, json!([])));
}

#[test]
fn a_raw_file_of_the_wrong_length_is_refused() {
    let (model, feeds) = network();
    let device = device(&model, &feeds, None);
    let folder = tempfile::tempdir().unwrap();
    let (name, tensor) = device.values.iter().find(|(name, _)| name.starts_with('/')).unwrap();
    let half = folder.path().join(format!("{}.raw", name.replace('/', "_")));
    fs::write(&half, &tensor.bytes()[..tensor.len() * 2]).unwrap();
    let mut command = offby();
    command.arg("walk").arg(debug_model(NETWORK)).arg("--got").arg(folder.path());
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("elements of f32 are not") && said.contains("manifest.json"), "{said}");
}

#[test]
fn what_is_no_dump_is_refused_with_a_hint() {
    let refused = |dump: &Path, word: &str| {
        let mut command = offby();
        command.arg("walk").arg(debug_model(NETWORK)).arg("--got").arg(dump);
        let (code, _, stderr) = crate::support::finish(command);
        assert!(code == 2 && stderr.contains(word) && stderr.contains("hint: "), "{stderr}");
    };
    let folder = tempfile::tempdir().unwrap();
    refused(&folder.path().join("none"), "No such file");
    refused(folder.path(), "no tensor");
    let tensor = Tensor::from_f32(&[1], vec![1.0]).unwrap();
    write_npy(&folder.path().join("stranger.npy"), &tensor).unwrap();
    refused(folder.path(), "--map");
}

/// A dump that lacks the network's output is no answer about that output, and says so.
#[test]
fn outputs_that_were_not_dumped_are_named() {
    let (model, feeds) = network();
    let device = device(&model, &feeds, None);
    let folder = tempfile::tempdir().unwrap();
    for (name, tensor) in device.values.iter().filter(|(name, _)| name.contains("act/Erf")) {
        write_npy(&folder.path().join(format!("{}.npy", name.replace('/', "_"))), tensor).unwrap();
    }
    let mut command = offby();
    command.arg("walk").arg(debug_model(NETWORK)).arg("--got").arg(folder.path());
    let (code, stdout, stderr) = crate::support::finish(command);
    assert_eq!((code, &*stderr), (0, ""), "{stdout}");
    assert!(stdout.contains("which were not compared: `output`"), "{stdout}");
}

/// A dump of the framework tells faults of the export from faults of the device.
#[test]
fn the_frameworks_values_are_walked_too() {
    let (model, feeds) = network();
    let folder = tempfile::tempdir().unwrap();
    let dump = |name: &str, culprit: Option<usize>| {
        let path = folder.path().join(name);
        std::fs::create_dir(&path).unwrap();
        let device = device(&model, &feeds, culprit);
        write(&device, &path, &|_| true);
        (path, device.culprit)
    };
    let ((got, engine), (right, _), (changed, export)) =
        (dump("got", Some(7)), dump("right", None), dump("changed", Some(3)));
    let both = |want: &Path| {
        let (code, report) = walk(&["--got".as_ref(), &got, "--want".as_ref(), want]);
        let sources = |at: usize| report["targets"][at]["walk"]["sources"].clone();
        let hint = report["targets"][1]["verdict"]["hint"].as_str().unwrap_or_default().to_owned();
        (code, sources(0), sources(1), hint)
    };
    let at = |node: &str| serde_json::json!([node]);
    let (code, ours, theirs, _) = both(&right);
    assert_eq!((code, ours, theirs), (1, at(&engine), serde_json::json!([])));
    let (code, ours, theirs, hint) = both(&changed);
    assert_eq!((code, ours, theirs), (1, at(&engine), at(&export)));
    assert!(hint.contains("exporter"), "{hint}");
}

/// Both dumps must be of one run.
#[test]
fn dumps_with_other_inputs_are_refused() {
    let (model, feeds) = network();
    let folder = tempfile::tempdir().unwrap();
    let [got, want] = ["got", "want"].map(|name| folder.path().join(name));
    let device = device(&model, &feeds, None);
    for path in [&got, &want] {
        std::fs::create_dir(path).unwrap();
        write(&device, path, &|_| true);
    }
    let Tensor::F32(input) = &feeds[0].tensor else { panic!("not f32") };
    write_npy(&want.join("input.npy"), &Tensor::F32(input.mapv(|value| value + 1.0))).unwrap();
    let mut command = offby();
    command.arg("walk").arg(debug_model(NETWORK)).arg("--got").arg(got).arg("--want").arg(want);
    let (code, _, stderr) = crate::support::finish(command);
    assert!(code == 2 && stderr.contains("`input` differ"), "{stderr}");
}

/// Polygraphy's `--save-outputs` with every value marked as an output, and its `--save-inputs`.
#[test]
fn outputs_that_polygraphy_saved_are_walked() {
    use base64::Engine as _;
    let (model, feeds) = network();
    let count = NodeSteps::new(&model).unwrap().len();
    let device = device(&model, &feeds, Some(count / 2));
    let folder = tempfile::tempdir().unwrap();
    let one = folder.path().join("one.npy");
    let array = |tensor: &Tensor| {
        write_npy(&one, tensor).unwrap();
        let text = base64::prelude::BASE64_STANDARD.encode(std::fs::read(&one).unwrap());
        serde_json::json!({"array": text, "polygraphy_class": "ndarray"})
    };
    let input = model.inputs()[0].name.to_string();
    let inputs = serde_json::json!([{ (input.as_str()): array(&device.values[&input]) }]);
    let outputs: BTreeMap<&String, Value> = device
        .values
        .iter()
        .filter(|(name, _)| **name != input)
        .map(|(name, tensor)| (name, serde_json::json!({"values": array(tensor)})))
        .collect();
    let outputs =
        serde_json::json!({"lst": [["onnxrt-runner", [{"outputs": outputs, "runtime": 0.1}]]]});
    std::fs::remove_file(&one).unwrap();
    std::fs::write(folder.path().join("inputs.json"), inputs.to_string()).unwrap();
    std::fs::write(folder.path().join("outputs.json"), outputs.to_string()).unwrap();
    let (code, report) = walk(&["--got".as_ref(), folder.path()]);
    let found = suspects(first_target(&report));
    assert_eq!((code, found), (1, BTreeSet::from([device.culprit])));
}

/// A framework's layer that normalizes by its own batch, as in training mode.
#[test]
fn a_normalization_left_in_training_mode_is_named() {
    let vector = |values: [f32; 3]| Tensor::from_f32(&[3], values.to_vec()).unwrap();
    let shape = [2, 3, 4];
    let network = Network::new("normalized")
        .input("x", F32, &shape)
        .initializer("scale", &vector([1.0, 2.0, 0.5]))
        .initializer("bias", &vector([0.0, -1.0, 3.0]))
        .initializer("mean", &vector([0.1, 0.2, 0.3]))
        .initializer("variance", &vector([1.0, 1.5, 0.5]))
        .node(
            "norm",
            "BatchNormalization",
            &["x", "scale", "bias", "mean", "variance"],
            &["n"],
            &[],
        )
        .node("last", "Neg", &["n"], &["y"], &[])
        .output("y", F32, &shape);
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("normalized.onnx");
    fs::write(&model, network.to_bytes()).unwrap();
    let x: Vec<f32> = (0..24).map(|at| ((at * 7) % 11) as f32 - 3.0).collect();
    let channel = |at: usize| at / 4 % 3;
    let of = |wanted: usize| x.iter().enumerate().filter(move |(at, _)| channel(*at) == wanted);
    let normalized = |(at, value): (usize, &f32)| {
        let wanted = channel(at);
        let mean = of(wanted).map(|(_, x)| x).sum::<f32>() / 8.0;
        let variance = of(wanted).map(|(_, x)| (x - mean).powi(2)).sum::<f32>() / 8.0;
        let (scale, bias) = ([1.0, 2.0, 0.5][wanted], [0.0, -1.0, 3.0][wanted]);
        (value - mean) / (variance + 1e-5).sqrt() * scale + bias
    };
    let n: Vec<f32> = x.iter().enumerate().map(normalized).collect();
    let dump = folder.path().join("dump");
    fs::create_dir(&dump).unwrap();
    let y = n.iter().map(|value| -value).collect();
    for (name, values) in [("x", x.clone()), ("n", n), ("y", y)] {
        let tensor = Tensor::from_f32(&shape, values).unwrap();
        write_npy(&dump.join(format!("{name}.npy")), &tensor).unwrap();
    }
    let mut command = offby();
    command.arg("walk").arg(&model).arg("--got").arg(&dump).args(["--json", "-"]);
    let (code, report) = finish_json(command);
    let target = first_target(&report);
    assert_eq!((code, &target["walk"]["sources"]), (1, &json!(["norm"])), "{target:#}");
    let looks = target["verdict"]["diagnosis"].to_string();
    assert!(looks.contains("training mode") && looks.contains("model.eval()"), "{looks}");
}
