//! Cut models compute the same as the whole model: bit for bit in tract, and judged by onnx's checker and
//! onnxruntime. Also `offby cut` itself.

use crate::support::judge::Judge;
use crate::support::odd_networks::{
    body, branches, changed, declared, flag, node, outside, two_outputs,
};
use crate::support::random_network::{Gene, RandomNetwork, Value, tensor};
use crate::support::{debug_model, finish, finish_json, offby};
use offby::case::Case;
use offby::engine::{Engine as _, Outcome, Request, Tract};
use offby::graph::{Boundary, Cut, CutError, Model, Network, ValueName};
use offby::inputs::Feed;
use offby::tensor::{Dtype, Tensor, read_npy};
use proptest::prelude::*;
use prost::Message as _;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;
use tract_onnx::pb::ModelProto;

type Values = BTreeMap<String, Tensor>;

/// All outputs as tract computes them, with the model's inputs taken from `values`.
fn compute(model: &Model, values: &Values) -> Values {
    let feed = |name: &ValueName| Feed::new(name.clone(), "", values[name.as_str()].clone());
    let feeds: Vec<Feed> = model.inputs().iter().map(|input| feed(&input.name)).collect();
    let deadline = Duration::from_secs(60);
    let request = Request { model, feeds: &feeds, repeats: 1, deadline };
    let execution = Tract::default().execute(&request);
    assert_eq!(execution.outcome, Outcome::Completed, "{:?}", execution.reason);
    execution.outputs.into_iter().map(|o| (o.name.to_string(), o.tensor)).collect()
}

fn bits(tensor: &Tensor) -> (Dtype, Vec<usize>, Vec<u8>) {
    (tensor.dtype(), tensor.shape().to_vec(), tensor.to_bytes())
}

fn boundary(value: &Value) -> Boundary {
    Boundary { name: value.name.as_str().into(), dtype: value.dtype, shape: value.shape.clone() }
}

// --- random networks --------------------------------------------------------

fn genes() -> impl Strategy<Value = Vec<Gene>> {
    prop::collection::vec((any::<u8>(), any::<usize>(), any::<usize>()), 1..24)
}

fn inputs() -> Values {
    let named = |(seed, name): (usize, &str)| (name.to_owned(), tensor(10 + seed));
    ["x", "in::put/2"].into_iter().enumerate().map(named).collect()
}

/// Chooses some values of many, each at most once.
fn some<'a>(choices: &[prop::sample::Index], all: &[&'a Value]) -> Vec<&'a Value> {
    let picked: BTreeSet<usize> = choices.iter().map(|choice| choice.index(all.len())).collect();
    picked.into_iter().map(|at| all[at]).collect()
}

/// The cut, without the boundaries that it refuses; `None` if no node is left to compute. Checks that each
/// refusal is right.
fn cut_what_can_be_cut(network: &RandomNetwork, model: &Model, mut cut: Cut) -> Option<Model> {
    let to: Vec<String> = cut.to.iter().map(ToString::to_string).collect();
    loop {
        let constants = cut.constants.iter().map(|(name, _)| name.to_string());
        let stops = cut.from.iter().map(|boundary| boundary.name.to_string());
        let stops: BTreeSet<String> = stops.chain(constants).collect();
        let (nodes, read) = network.needed(&to, &stops);
        match model.cut(&cut) {
            Ok(made) => {
                assert_eq!(made.node_count(), nodes.len(), "no node more than needed");
                assert!(cut.from.iter().all(|boundary| read.contains(boundary.name.as_str())));
                return Some(made);
            }
            Err(CutError::UnusedBoundary { name, .. }) => {
                assert!(!read.contains(name.as_str()), "{name} is needed");
                cut.from.retain(|boundary| boundary.name != name);
            }
            Err(CutError::NothingToCompute { name, .. }) => {
                assert!(stops.contains(name.as_str()));
                return None;
            }
            Err(other) => panic!("{other}"),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_cut_model_gives_the_whole_models_bits(
        genes in genes(),
        to in prop::collection::vec(any::<prop::sample::Index>(), 1..4),
        from in prop::collection::vec(any::<prop::sample::Index>(), 0..5),
        constants in prop::collection::vec(any::<prop::sample::Index>(), 0..2),
    ) {
        let network = RandomNetwork::new(&genes);
        let mut values = inputs();
        values.extend(compute(&network.observed(), &values));
        let computed = network.computed();
        let all: Vec<&Value> = network.values.iter().collect();
        let to = some(&to, &computed);
        let constants = some(&constants, &computed);
        let is_constant = |value: &&Value| constants.iter().any(|other| other.name == value.name);
        let from = some(&from, &all).into_iter().filter(|value| !is_constant(value));
        values.insert("c".to_owned(), tensor(1));
        values.insert("/c/0".to_owned(), tensor(2));
        let cut = Cut {
            to: to.iter().map(|value| value.name.as_str().into()).collect(),
            from: from.map(boundary).collect(),
            constants: constants.iter().map(|v| (v.name.as_str().into(), values[&v.name].clone())).collect(),
        };
        if let Some(made) = cut_what_can_be_cut(&network, &network.model(), cut) {
            let again = Model::from_bytes(&made.to_bytes(), made.path()).unwrap();
            prop_assert_eq!(again.digest(), made.digest());
            for (name, tensor) in compute(&again, &values) {
                prop_assert_eq!(bits(&tensor), bits(&values[&name]), "{}", name);
            }
        }
    }
}

/// One random network for each seed, cut in its middle.
fn random_cut(seed: usize) -> Option<Model> {
    let gene = |at: usize| {
        let mixed = (seed * 31 + at + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 7;
        (mixed as u8, mixed >> 8, mixed >> 20)
    };
    let network = RandomNetwork::new(&(0..20).map(gene).collect::<Vec<Gene>>());
    let computed = network.computed();
    let (to, from) = (computed[computed.len() - 1], [computed[3], computed[6], computed[9]]);
    let cut = Cut {
        to: vec![to.name.as_str().into()],
        from: from.into_iter().map(boundary).collect(),
        constants: vec![],
    };
    let mut made = cut_what_can_be_cut(&network, &network.model(), cut)?;
    made.declare(&[boundary(to)]);
    Some(made)
}

#[test]
#[ignore = "needs onnx and onnxruntime for Python"]
fn the_checker_accepts_random_cuts() {
    let judge = Judge::start();
    let folder = TempDir::new().unwrap();
    let models: Vec<PathBuf> = (0..60)
        .filter_map(|seed| Some((seed, random_cut(seed)?)))
        .map(|(seed, model)| store(&folder, &format!("{seed}.onnx"), &model.to_bytes()))
        .collect();
    assert!(models.len() > 40);
    judge.check(&models);
}

// --- hand-made models -------------------------------------------------------

fn store(folder: &TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    path
}

/// Cuts the model, stores it, and declares its output as in `values`.
fn stored_cut(
    folder: &TempDir,
    model: &Model,
    from: &[&str],
    to: &str,
    values: &Values,
) -> (Model, PathBuf) {
    let boundary = |name: &&str| Boundary {
        name: (*name).into(),
        dtype: values[*name].dtype(),
        shape: values[*name].shape().to_vec(),
    };
    let from = from.iter().map(boundary).collect();
    let mut cut = model.cut(&Cut { to: vec![to.into()], from, constants: vec![] }).unwrap();
    cut.declare(&[boundary(&to)]);
    let path = store(folder, "cut.onnx", &cut.to_bytes());
    (cut, path)
}

/// Compares a cut with the whole model in onnxruntime.
fn assert_same_there(judge: &Judge, whole: &Path, cut: &Path, values: &Values, to: &str) {
    let feeds: Vec<(&str, &Tensor)> = values.iter().map(|(n, t)| (n.as_str(), t)).collect();
    let truth = judge.run(whole, &feeds, &[to]);
    let found = judge.run(cut, &feeds, &[to]);
    assert_eq!(bits(&found[0]), bits(&truth[0]), "{to}");
}

#[test]
#[ignore = "needs onnx and onnxruntime for Python"]
fn branches_keep_what_they_capture() {
    let folder = TempDir::new().unwrap();
    let whole = store(&folder, "whole.onnx", &branches().encode_to_vec());
    let model = Model::load(&whole).unwrap();
    let judge = Judge::start();
    for deep in [true, false] {
        let mut values =
            Values::from([("x".to_owned(), tensor(1)), ("deep?".to_owned(), flag(deep))]);
        let truth = compute(&model, &values);
        let (cut, path) = stored_cut(
            &folder,
            &model,
            &[],
            "chosen",
            &Values::from([("chosen".to_owned(), tensor(1))]),
        );
        assert_eq!(cut.node_count(), 4, "all but Exp and the last Tanh");
        let chosen = compute(&cut, &values);
        assert_same_there(&judge, &whole, &path, &values, "chosen");
        values.extend(truth);
        values.extend(chosen);
        values.insert("/t/0".to_owned(), tensor(5));
        let (later, path) = stored_cut(&folder, &model, &["/t/0"], "y", &values);
        assert_eq!(later.node_count(), 4, "Tanh is given, Exp not needed");
        assert!(later.inputs().iter().any(|input| input.name == "/t/0".into()));
        let given = compute(&later, &values);
        let same = deep == (bits(&given["y"]) == bits(&values["y"]));
        assert!(!same, "only the deep branch reads what was given");
        let (last, _) = stored_cut(&folder, &model, &["chosen"], "y", &values);
        assert_eq!(bits(&compute(&last, &values)["y"]), bits(&values["y"]));
        judge.check(&[path]);
    }
}

/// A loop that adds a captured value three times.
fn looped() -> ModelProto {
    let three = Tensor::from_bytes(Dtype::I64, &[], &3_i64.to_le_bytes()).unwrap();
    let network = Network::new("looped")
        .input("x", Dtype::F32, &[4, 4])
        .initializer("three", &three)
        .initializer("go", &flag(true))
        .node("tanh", "Tanh", &["x"], &["captured"], &[])
        .node("exp", "Exp", &["x"], &["start"], &[])
        .node("aside", "Neg", &["x"], &["aside"], &[])
        .output("aside", Dtype::F32, &[4, 4]);
    changed(network, |graph| {
        let step = vec![
            node("Identity", &["cond"], &["cond_out"], vec![]),
            node("Add", &["state", "captured"], &["next"], vec![]),
        ];
        let mut inner = body("step", step, "next");
        inner.output.insert(0, declared("cond_out", Dtype::Bool, &[]));
        inner.input = vec![
            declared("i", Dtype::I64, &[]),
            declared("cond", Dtype::Bool, &[]),
            declared("state", Dtype::F32, &[4, 4]),
        ];
        graph.node.push(node("Loop", &["three", "go", "start"], &["end"], vec![("body", inner)]));
        graph.node.push(node("Tanh", &["end"], &["y"], vec![]));
        graph.output.push(declared("y", Dtype::F32, &[4, 4]));
    })
}

#[test]
#[ignore = "needs onnx and onnxruntime for Python"]
fn loops_keep_what_they_capture() {
    let folder = TempDir::new().unwrap();
    let whole = store(&folder, "whole.onnx", &looped().encode_to_vec());
    let model = Model::load(&whole).unwrap();
    let mut values = Values::from([("x".to_owned(), tensor(1)), ("end".to_owned(), tensor(1))]);
    let (cut, path) = stored_cut(&folder, &model, &[], "end", &values);
    assert_eq!(cut.node_count(), 3);
    let judge = Judge::start();
    assert_same_there(&judge, &whole, &path, &values, "end");
    let known = judge.run(&whole, &[("x", &tensor(1))], &["captured", "start", "end"]);
    values.extend(["captured", "start", "end"].map(str::to_owned).into_iter().zip(known));
    let (cut, path) = stored_cut(&folder, &model, &["captured", "start"], "end", &values);
    assert_eq!(cut.node_count(), 1);
    assert_same_there(&judge, &whole, &path, &values, "end");
}

#[test]
#[ignore = "needs onnx and onnxruntime for Python"]
fn external_data_moves_in() {
    let folder = TempDir::new().unwrap();
    let (proto, bin) = outside();
    let whole = store(&folder, "whole.onnx", &proto.encode_to_vec());
    store(&folder, "w.bin", &bin);
    let model = Model::load(&whole).unwrap();
    let values = Values::from([("x".to_owned(), tensor(1)), ("m".to_owned(), tensor(1))]);
    let (cut, path) = stored_cut(&folder, &model, &[], "m", &values);
    let elsewhere = TempDir::new().unwrap();
    let moved = elsewhere.path().join("moved.onnx");
    fs::rename(&path, &moved).unwrap();
    let found = compute(&Model::load(&moved).unwrap(), &values);
    let product = |tensor: &Tensor| match tensor {
        Tensor::F32(array) => array.clone(),
        _ => panic!("not f32"),
    };
    let expected = Tensor::F32(product(&tensor(1)) * product(&tensor(3)));
    assert_eq!(bits(&found["m"]), bits(&expected));
    assert!(cut.to_bytes().len() < 700, "the other tensor stays outside");
    let judge = Judge::start();
    judge.check(&[moved]);
    assert_same_there(&judge, &whole, &elsewhere.path().join("moved.onnx"), &values, "m");
    fs::remove_file(folder.path().join("w.bin")).unwrap();
    let error = model.cut(&Cut::to("m".into())).unwrap_err();
    assert!(error.to_string().contains("of tensor `w`") && error.hint().is_some(), "{error}");
}

#[test]
#[ignore = "needs onnx and onnxruntime for Python"]
fn two_outputs_and_names_with_colons_and_slashes() {
    let model = two_outputs().finish().unwrap();
    let mut values = Values::from([("serving::x".to_owned(), tensor(1))]);
    let truth = compute(&model, &values);
    let folder = TempDir::new().unwrap();
    let start = model.find_value("/a").unwrap();
    values.insert(start.to_string(), tensor(1));
    let (first, path) = stored_cut(&folder, &model, &[], start.as_str(), &values);
    values.extend(compute(&first, &values));
    let from = Boundary { name: start, dtype: Dtype::F32, shape: vec![4, 4] };
    let to = vec!["::c".into(), "/b/out::0".into()];
    let both = model.cut(&Cut { to, from: vec![from], constants: vec![] }).unwrap();
    assert_eq!(both.outputs(), ["::c".into(), "/b/out::0".into()]);
    for (name, tensor) in compute(&both, &values) {
        assert_eq!(bits(&tensor), bits(&truth[&name]));
    }
    let judge = Judge::start();
    judge.check(&[path, store(&folder, "both.onnx", &both.to_bytes())]);
}

// --- the command ------------------------------------------------------------

fn run_cut(model: &Path, out: &Path, arguments: &[&str]) -> (i32, String, String) {
    let mut command = offby();
    command.arg("cut").arg(model).arg("-o").arg(out).args(arguments);
    finish(command)
}

fn assert_refused(model: &Path, out: &Path, arguments: &[&str]) -> String {
    let (code, stdout, stderr) = run_cut(model, out, arguments);
    assert_eq!((code, stdout.as_str()), (2, ""), "{stderr}");
    let lines: Vec<&str> = stderr.lines().collect();
    assert!(
        matches!(lines[..], [error, hint] if error.starts_with("error: failed to ") && hint.starts_with("hint: ")),
        "{stderr}"
    );
    stderr
}

/// A late reshape whose shape comes from early values, as exporters write it.
fn late_reshape() -> Network {
    let network = Network::new("late")
        .input("x", Dtype::F32, &[4, 4])
        .node("a", "Relu", &["x"], &["::a"], &[])
        .node("s", "Shape", &["x"], &["s"], &[])
        .node("b", "Tanh", &["::a"], &["/b:0"], &[])
        .node("again", "Exp", &["/b:0"], &["/B:0"], &[])
        .node("r", "Reshape", &["/B:0", "s"], &["y"], &[]);
    network.output("y", Dtype::F32, &[4, 4])
}

#[test]
#[ignore = "needs onnx and onnxruntime for Python"]
fn a_captured_cut_is_a_case_that_agrees() {
    let folder = TempDir::new().unwrap();
    let whole = store(&folder, "whole.onnx", &late_reshape().to_bytes());
    let out = folder.path().join("part.onnx");
    let arguments = ["--from", "a", "--to", "/b:0", "--to", "r", "--input", "sine", "--capture"];
    let (code, stdout, stderr) = run_cut(&whole, &out, &arguments);
    assert_eq!((code, stderr.as_str()), (0, ""));
    for line in [
        "part.onnx: 3 of 5 nodes, ",
        "input `::a` 4x4 f32\noutput `/b:0` 4x4 f32\noutput `y` 4x4 f32\n",
        "shapes: 1 computed before the cut, now constant: `s`\n",
        "part.yaml\n",
    ] {
        assert!(stdout.contains(line), "{stdout}, not {line}");
    }
    let case = Case::load(&folder.path().join("part.yaml")).unwrap();
    assert_eq!((case.id.as_str(), case.model_path()), ("part", out.clone()));
    assert_eq!(case.title, "whole.onnx cut to /b:0, y");
    let feed = read_npy(&folder.path().join("part.inputs/__a.npy")).unwrap();
    let spec = case.specs()[&"::a".into()].to_string();
    assert_eq!(spec, folder.path().join("part.inputs/__a.npy").display().to_string());
    let model = Model::load(&out).unwrap();
    let found = compute(&model, &Values::from([("::a".to_owned(), feed)]));
    for (name, file) in [("/b:0", "_b_0.npy"), ("y", "y.npy")] {
        let expected = read_npy(&folder.path().join("part.expected").join(file)).unwrap();
        assert_eq!(bits(&found[name]), bits(&expected), "{name}");
    }
    let judge = Judge::start();
    judge.check(&[out]);
}

#[test]
fn a_cut_is_told_as_json_and_replaces_what_was_there() {
    let folder = TempDir::new().unwrap();
    let out = store(&folder, "q.onnx", b"something else");
    let mut command = offby();
    command.arg("cut").arg(debug_model("split_view.onnx")).arg("-o").arg(&out);
    command.args(["--to", "q", "--json", "-"]);
    let (code, report) = finish_json(command);
    assert_eq!((code, report["schema"].as_str()), (0, Some("offby.cut/1")));
    let model = Model::load(&out).unwrap();
    assert_eq!(report["cut"]["digest"], model.digest().to_string());
    assert_eq!(report["cut"]["nodes"], model.node_count());
    assert_eq!(report["cut"]["bytes"], fs::metadata(&out).unwrap().len());
    assert_eq!(report["outputs"][0]["name"], "q");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left over");
}

#[test]
fn cuts_that_cannot_be_made_are_refused_with_a_hint() {
    let folder = TempDir::new().unwrap();
    let whole = store(&folder, "whole.onnx", &late_reshape().to_bytes());
    let out = folder.path().join("out.onnx");
    let refused = |arguments: &[&str], words: &str| {
        let said = assert_refused(&whole, &out, arguments);
        assert!(said.contains(words), "{said}, not {words}");
    };
    refused(&["--to", "agian"], "did you mean `again`?");
    refused(&["--to", "b", "--from", "again"], "it comes after `/b:0`");
    refused(&["--to", "x"], "an input of the model");
    refused(&["--to", "b", "--from", "b"], "where the cut begins");
    refused(&["--to", "b", "--input", "arrange"], "did you mean `arange`?");
    let elsewhere = |path: &Path, words: &str| {
        let said = assert_refused(&whole, path, &["--to", "b"]);
        assert!(said.contains(words), "{said}, not {words}");
    };
    elsewhere(&folder.path().join("no/out.onnx"), "No such file");
    elsewhere(folder.path(), "it is a folder");
    elsewhere(&whole, "it is the model itself");
    assert!(!out.exists());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left over");
}

#[test]
fn without_the_reference_the_files_own_shapes_must_do() {
    let folder = TempDir::new().unwrap();
    let whole = store(&folder, "whole.onnx", &looped().encode_to_vec());
    let out = folder.path().join("out.onnx");
    // Neither tract nor ONNX Runtime knows the network: the library does not exist.
    let alone = |arguments: &[&str]| {
        let mut command = offby();
        command.env("ORT_DYLIB_PATH", folder.path().join("none.so"));
        command.arg("cut").arg(&whole).arg("-o").arg(&out).args(arguments);
        finish(command)
    };
    let (code, stdout, _) = alone(&["--to", "y"]);
    assert!(code == 0 && stdout.contains("shapes are those the file declares"), "{stdout}");
    let (code, _, said) = alone(&["--to", "y", "--capture"]);
    assert!(code == 2 && said.contains("Loop") && said.contains("leave --capture out"), "{said}");
    let (code, _, said) = alone(&["--to", "end"]);
    assert!(code == 2 && said.contains("onnx.shape_inference"), "{said}");
}
