//! `offby decode`: faults that only decoding shows are named with step, layer and operator; honest devices are not.

#[allow(unreachable_pub, dead_code, reason = "the example's own modules")]
#[path = "../../examples/decoders/networks/mod.rs"]
mod networks;

use crate::support::judge::Judge;
use crate::support::{device, finish, finish_json, need, offby};
use networks::{decoder, recipes};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Writes a decoder into a folder.
pub(crate) fn written(folder: &Path, name: &str) -> PathBuf {
    let recipe = recipes::all().into_iter().find(|recipe| recipe.name == name).unwrap();
    let path = folder.join(format!("{name}.onnx"));
    fs::write(&path, decoder::graph(&recipe).to_bytes()).unwrap();
    path
}

/// Exit code and lane of one target.
fn decode(name: &str, target: &str, more: &[&str]) -> (i32, Value) {
    let folder = TempDir::new().unwrap();
    let mut command = offby();
    command.arg("decode").arg(written(folder.path(), name)).args(["--on", target]);
    command.args(["--json", "-", "-q"]).args(more);
    let (code, mut document) = finish_json(command);
    assert_eq!(document["schema"], "offby.decode/1");
    (code, document["targets"][0].take())
}

fn sources(lane: &Value) -> Vec<&str> {
    let sources = lane["part"]["sources"].as_array().unwrap();
    sources.iter().map(|source| source["name"].as_str().unwrap()).collect()
}

fn has_sign(lane: &Value, words: &str) -> bool {
    let signs = lane["part"]["signs"].as_array().unwrap();
    signs.iter().any(|sign| sign.as_str().unwrap().contains(words))
}

/// The node of a decoder that writes an output.
fn writer(name: &str, output: &str) -> String {
    let recipe = recipes::all().into_iter().find(|recipe| recipe.name == name).unwrap();
    let bytes = decoder::graph(&recipe).to_bytes();
    let model = offby::graph::Model::from_bytes(&bytes, Path::new("decoder.onnx")).unwrap();
    let writes = |node: &offby::graph::Node<'_>| node.outputs.iter().any(|name| name == output);
    let mut nodes = model.nodes();
    nodes.find(writes).unwrap().name.to_owned()
}

#[test]
fn engines_without_faults_agree_on_every_token() {
    for name in ["llama", "llama_f16", "llama_int8", "llama_window", "llama_no_cache", "gpt2"] {
        for target in ["tract", "sim:honest-f16", "sim:honest-bf16"] {
            let (code, lane) = decode(name, target, &["--steps", "6"]);
            assert_eq!(code, 0, "{name} {target}: {}", lane["sentence"]);
            assert_eq!(lane["steps"].as_array().unwrap().len(), 7, "{name} {target}");
            assert!(lane["part"].is_null(), "{name} {target}");
        }
    }
}

#[test]
fn a_decoder_of_onnx_runtimes_operators_runs_elsewhere() {
    let (code, lane) = decode("llama_fused", "sim:honest-f16", &["--steps", "2"]);
    assert_eq!((code, &lane["part"]), (0, &Value::Null), "{}", lane["sentence"]);
}

#[test]
fn a_fault_of_single_tokens_is_named_with_its_layer() {
    let (_folder, target) = device(
        "faults: [{fault: scale, factor: 1.1, at: {name: '/layers.2/mlp/Sigmoid*', extent: {axis: 1, to: 1}}}]",
    );
    let (code, lane) = decode("llama", &target, &["--steps", "8"]);
    assert_eq!((code, &lane["part"]["step"], &lane["part"]["layer"]), (1, &1.into(), &2.into()));
    assert!(sources(&lane)[0].starts_with("/layers.2/mlp/Sigmoid"), "{lane}");
    assert!(has_sign(&lane, "the prompt is right"), "{}", lane["part"]);
}

/// A matrix fills the cells of decoders with what decoding finds: the prompt alone is right here.
#[test]
fn a_matrix_decodes_with_steps() {
    let (_folder, target) = device(
        "faults: [{fault: scale, factor: 1.1, at: {name: '/layers.2/mlp/Sigmoid*', extent: {axis: 1, to: 1}}}]",
    );
    let folder = TempDir::new().unwrap();
    for (steps, kind, expected) in [(None, "agrees", 0), (Some("2"), "divergent", 1)] {
        let mut command = offby();
        command.arg("matrix").arg(written(folder.path(), "llama"));
        command.args(["--on", &target, "--on", "sim:honest-f16", "--json", "-", "-q"]);
        let out = folder.path().join(kind);
        command.arg("--out").arg(&out);
        command.args(steps.map(|steps| ["--steps", steps]).into_iter().flatten());
        let (code, matrix) = finish_json(command);
        let row = &matrix["rows"][0];
        let cells: Vec<&Value> = row["cells"].as_object().unwrap().values().collect();
        let found = cells.iter().find(|cell| cell["kind"] == kind);
        let found = found.unwrap_or_else(|| panic!("no cell is {kind}: {matrix:#}"));
        assert_eq!(code, expected, "{matrix:#}");
        if steps.is_some() {
            let source = &found["sources"][0]["name"];
            assert!(source.as_str().unwrap().starts_with("/layers.2/mlp/Sigmoid"), "{matrix:#}");
            assert_eq!(row["inputs"][0]["spec"], "random:8, then 2 steps");
            let page = fs::read_to_string(out.join(found["page"].as_str().unwrap())).unwrap();
            assert!(page.contains("/layers.2/mlp/Sigmoid"), "{page}");
        }
    }
}

#[test]
fn a_fault_of_long_texts_is_found_at_its_first_token() {
    let (_folder, target) = device(
        "faults: [{fault: shifted, at: {op: [Softmax], name: '/layers.1/*', extent: {axis: 3, from: 13}}}]",
    );
    let (code, lane) = decode("gpt2", &target, &["--steps", "8"]);
    // After a prompt of 8, the fifth step sees 13 tokens.
    assert_eq!((code, &lane["part"]["step"], &lane["part"]["layer"]), (1, &5.into(), &1.into()));
    assert!(has_sign(&lane, "right after fewer than 12 tokens"), "{}", lane["part"]);
}

#[test]
fn faults_of_the_cache_have_their_own_signs() {
    let key = writer("llama", "present.1.key");
    let value = writer("llama", "present.3.value");
    let cases = [
        (
            format!("{{fault: stale-slot, at: {{name: {key}, extent: {{axis: 2, from: 11}}}}}}"),
            3,
            "the slot is stale",
        ),
        (
            format!("{{fault: digits-lost, format: f16, at: {{name: {value}}}}}"),
            0,
            "it is stored in f16",
        ),
        (
            "{fault: plus-one, at: {name: '/rotary/Cast*', extent: {axis: 1, to: 1}}}".into(),
            1,
            "1 too late",
        ),
    ];
    for (fault, step, sign) in cases {
        let (_folder, target) = device(&format!("faults: [{fault}]"));
        let (code, lane) = decode("llama", &target, &["--steps", "6"]);
        assert_eq!(
            (code, &lane["part"]["step"]),
            (1, &step.into()),
            "{fault}: {}",
            lane["sentence"]
        );
        assert!(has_sign(&lane, sign), "{fault}: {}", lane["part"]["signs"]);
        let node = fault.split("name: ").nth(1).unwrap().split([',', '}', '*']).next().unwrap();
        assert!(sources(&lane)[0].starts_with(node.trim_matches('\'')), "{fault}: {lane}");
    }
}

#[test]
fn a_fault_below_the_tolerance_of_f16_is_walked() {
    let (_folder, target) = device(
        "storage: {format: f16}\nfaults: [{fault: one-element, factor: 1.5, at: {name: '/layers.3/mlp_norm/Div*'}}]",
    );
    let (code, lane) = decode("llama_deep", &target, &["--steps", "4"]);
    assert_eq!((code, &lane["part"]["step"]), (1, &0.into()), "{}", lane["sentence"]);
    assert!(sources(&lane)[0].starts_with("/layers.3/mlp_norm/Div"), "{lane}");
}

/// A text's tokens are inputs of their own, and the fault is at one place of each text.
#[test]
fn texts_are_a_data_set_of_tokens() {
    let folder = TempDir::new().unwrap();
    let model = written(folder.path(), "llama");
    let texts = folder.path().join("texts.txt");
    fs::write(&texts, "1 2 3 4 5 6\n9, 8, 7\n").unwrap();
    let (_device, target) = device("faults: [{fault: scale, factor: -1.0, at: {op: [Softmax]}}]");
    let mut command = offby();
    command.arg("agree").arg(&model).arg("--data").arg(&texts).args(["--json", "-"]);
    command.args(["--on", "tract:f64", "--on", &target]);
    let (code, agree) = finish_json(command);
    let data = (&agree["data"]["inputs"], &agree["data"]["labels"], &agree["task"]);
    assert_eq!(data, (&7.into(), &7.into(), &"classify".into()), "{agree:#}");
    assert_eq!(agree["targets"][0]["verdict"]["kind"], "agrees", "{agree:#}");
    assert_eq!(
        (code, &agree["targets"][1]["verdict"]["kind"]),
        (1, &"divergent".into()),
        "{agree:#}"
    );
    fs::write(&texts, "1 2 3\n4 999\n").unwrap();
    let mut command = offby();
    command.arg("agree").arg(&model).arg("--data").arg(&texts).args(["--on", "tract:f64"]);
    let (code, _, stderr) = finish(command);
    assert!(code == 2 && stderr.contains("text 1") && stderr.contains("vocabulary"), "{stderr}");
}

/// Without a word about its inputs, a decoder is fed a prompt; `--layers` walks a part of it.
#[test]
fn some_layers_of_a_decoder_are_walked() {
    let folder = TempDir::new().unwrap();
    let model = written(folder.path(), "llama_deep");
    let fault = "faults: [{fault: scale, factor: 1.1, at: {name: '/layers.5/mlp/Sigmoid*'}}]";
    let (_device, target) = device(fault);
    let walk = |layers: &str| {
        let mut command = offby();
        command.arg("walk").arg(&model).args(["--on", &target, "--layers", layers, "--json", "-"]);
        let (code, mut report) = finish_json(command);
        (code, report["targets"][0]["walk"]["sources"].take())
    };
    let (code, sources) = walk("4..6");
    assert_eq!((code, sources.as_array().unwrap().len()), (1, 1), "{sources}");
    assert!(sources[0].as_str().unwrap().starts_with("/layers.5/mlp/Sigmoid"), "{sources}");
    assert_eq!(walk("1..2"), (0, serde_json::json!([])));
    let mut command = offby();
    command.arg("walk").arg(&model).args(["--on", &target, "--layers", "20"]);
    let (code, _, stderr) = finish(command);
    assert!(code == 2 && stderr.contains("its layers are 0..7"), "{stderr}");
}

#[test]
fn without_a_walk_the_step_is_named() {
    let (_folder, target) = device("faults: [{fault: zero, at: {name: '/layers.0/mlp/MatMul*'}}]");
    let (code, lane) = decode("llama", &target, &["--steps", "2", "--no-walk", "--free"]);
    assert_eq!((code, &lane["part"]["step"]), (1, &0.into()));
    assert!(sources(&lane).is_empty());
    assert_eq!(lane["free"].as_array().unwrap().len(), 3);
}

#[test]
#[ignore = "needs MNN's Vulkan, OpenCL and a converter, and ONNX Runtime"]
fn real_engines_decode() {
    for target in ["mnn:cpu", "mnn:opencl:high,tune=none", "ort:cpu"] {
        need(target);
        let (code, lane) = decode("llama", target, &["--steps", "4"]);
        assert_eq!(code, 0, "{target}: {}", lane["sentence"]);
    }
    // On llvmpipe MNN's Softmax is wrong if an axis is shorter than a subgroup: as in LeViT, here for one token.
    need("mnn:vulkan:high");
    let (code, lane) = decode("llama", "mnn:vulkan:high", &["--steps", "4"]);
    assert_eq!((code, &lane["part"]["step"]), (1, &1.into()), "{}", lane["sentence"]);
    assert!(sources(&lane).iter().all(|name| name.contains("Softmax")), "{lane}");
}

/// ONNX Runtime rounds activations to 8 bits before it multiplies them by integer weights.
#[test]
#[ignore = "needs the driver of ort:cpu"]
fn quantized_activations_are_no_fault() {
    need("ort:cpu");
    let (code, lane) = decode("llama_int8", "ort:cpu", &["--steps", "8"]);
    assert_eq!((code, lane["kind"].as_str().unwrap()), (1, "precision"), "{}", lane["sentence"]);
    assert!(lane["part"].is_null(), "{lane:#}");
    let steps = lane["steps"].as_array().unwrap();
    assert!(steps.iter().all(|step| step["kind"] == "precision"), "{lane:#}");
    let sentence = lane["sentence"].as_str().unwrap();
    assert!(sentence.contains("8 bits (one scale for 32 elements)"), "{sentence}");
}

/// The example worker keeps the network open, whatever the length of the cache.
#[test]
#[ignore = "needs onnx and onnxruntime for Python"]
fn a_worker_that_stays_open_takes_every_length() {
    let via = format!("{} examples/worker.py", Judge::start().python().display());
    let (code, lane) = decode("llama", "ext:ort", &["--steps", "6", "--via", &via]);
    assert_eq!(code, 0, "{}", lane["sentence"]);
    assert!(lane["steps"].as_array().unwrap().iter().all(|step| step["kind"] == "agrees"));
}

#[test]
fn what_is_no_decoder_is_refused_with_a_hint() {
    let folder = TempDir::new().unwrap();
    let llama = written(folder.path(), "llama");
    let llama = llama.to_str().unwrap();
    let cases: [(&[&str], &str, &str); 6] = [
        (&["debug-models/small_mlp.onnx"], "is not known", "--state"),
        (
            &[llama, "--tokens", "1,2,300"],
            "the token 300 is outside the vocabulary of 256",
            "random:",
        ),
        (&[llama, "--tokens", "1,two"], "`two` is not a token", "random:"),
        (&[llama, "--tokens", "random:0"], "`random` takes a length", "random:"),
        (&[llama, "--state", "nowhere"], "read the state `nowhere`", "INPUT=OUTPUT"),
        (&[llama, "--state", "a=b"], "it has no input `a`", "--state"),
    ];
    for (arguments, what, hint) in cases {
        let mut command = offby();
        command.arg("decode").args(arguments).args(["--on", "tract"]);
        let (code, stdout, stderr) = finish(command);
        assert_eq!((code, stdout.as_str()), (2, ""), "{arguments:?}: {stderr}");
        let told = stderr.split_once("hint:").is_some_and(|(_, said)| said.contains(hint));
        assert!(stderr.contains(what) && told, "{arguments:?}: {stderr}");
    }
}

#[test]
fn a_result_is_written_in_three_forms_with_the_wrong_step() {
    let (_device, target) = device("faults: [{fault: zero, at: {name: '/layers.1/mlp/Sigmoid*'}}]");
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("out");
    let mut command = offby();
    command
        .arg("decode")
        .arg(written(folder.path(), "llama"))
        .args(["--on", &target, "--steps", "3"]);
    let (code, stdout, stderr) = finish({
        command.arg("--out").arg(&out);
        command
    });
    assert_eq!((code, stderr.as_str()), (1, ""));
    assert!(stdout.contains("/layers.1/mlp/Sigmoid"), "{stdout}");
    let text = fs::read_to_string(out.join("decode.json")).unwrap();
    let document = offby::decode::read_decode("decode.json", &text).unwrap();
    assert_eq!(document.targets[0].part.as_ref().unwrap().step, 0);
    for name in ["decode.md", "decode.html"] {
        assert!(
            fs::read_to_string(out.join(name)).unwrap().contains("/layers.1/mlp/Sigmoid"),
            "{name}"
        );
    }
    let mut stored = fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().path());
    let step = stored.find(|path| path.is_dir()).unwrap();
    assert!(step.join("input_ids.npy").is_file(), "{step:?}");
}
