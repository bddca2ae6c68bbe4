//! Tests how case files are read, written and refused.

use super::*;
use crate::engine::Target;
use crate::inputs::Spec;
use crate::verdict::Kind;
use std::fs;
use std::path::{Path, PathBuf};

const WHOLE: &str = r#"id: split-view
title: "Split and view: 2049 becomes 2048"
upstream: https://github.com/alibaba/MNN/issues/2562
kind: rounding
model: nets/split.onnx
cut: {to: [q], from: [x]}
inputs: {input: arange, "model::mask/0": masks/m.npy}
reference: tract:f64
targets:
  - on: mnn:vulkan:low
    when: {backend: vulkan, device: llvmpipe, driver: Mesa}
    expect: {verdict: explained, source: null, explained_by: f16 toward-zero, preview: "[len: 4]", reason: "2 > 1"}
  - on: mnn:cpu
"#;

fn load(text: &str) -> Result<Case, CaseError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("case.yaml");
    fs::write(&path, text).unwrap();
    Case::load(&path)
}

#[test]
fn every_key_is_read_and_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("case.yaml");
    fs::write(&path, WHOLE).unwrap();
    let case = Case::load(&path).unwrap();
    assert_eq!((case.id.as_str(), case.kind), ("split-view", Some(CaseKind::Rounding)));
    assert_eq!(case.reference, Target::TractF64);
    assert_eq!(case.cut.as_ref().unwrap().from, ["x".into()]);
    assert_eq!(case.model_path(), folder.path().join("nets/split.onnx"));
    assert_eq!(case.specs()[&"input".into()], Spec::Arange);
    let mask = Spec::Npy(folder.path().join("masks/m.npy"));
    assert_eq!(case.specs()[&"model::mask/0".into()], mask);
    let expectation = case.targets[0].expect.as_ref().unwrap();
    assert_eq!((expectation.verdict, &expectation.source), (Kind::Explained, &None));
    assert_eq!(expectation.explained_by.unwrap().to_string(), "f16 toward-zero");
    assert_eq!(case.targets[1].expect, None);
    let again = folder.path().join("again.yaml");
    case.write(&again).unwrap();
    assert_eq!(Case::load(&again).unwrap(), case);
}

#[test]
fn what_is_not_said_is_not_written() {
    let case = load("id: a\ntitle: t\nmodel: m.onnx\n").unwrap();
    assert_eq!((case.reference.clone(), case.targets.len()), (Target::Tract, 0));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.yaml");
    case.write(&path).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "id: a\ntitle: t\nmodel: m.onnx\ntargets: []\n");
}

/// A changed line of the whole file, with the place, the text and the advice of the error.
#[test]
fn errors_say_where_they_are_and_what_to_do() {
    for (from, to, place, words, hint) in [
        ("model:", "modle:", "5:1", "unknown field `modle`", "did you mean `model`?"),
        ("kind: rounding", "kind: roundng", "4:7", "kind: unknown variant", "`rounding`?"),
        ("id: split-view", "id: split view", "1:5", "id: `split view`", "letters"),
        ("https://", "", "3:11", "upstream: `github.com", "https://"),
        ("input: arange", "input: arrange", "7:17", "inputs.input: read input spec", "`arange`?"),
        ("input: arange", "input: [3]", "7:17", "inputs.input: invalid type", "quotes"),
        ("input: arange", "a: ones, a: ones", "7:9", "inputs: `a` is given twice", "keep one"),
        ("on: mnn:cpu", "on: mnn:gpu", "13:9", "targets[1].on: read the target", "backend"),
        ("tract:f64", "torch", "8:12", "reference: read the target", "tract"),
        (
            "verdict: expl",
            "verdit: expl",
            "12:14",
            "targets[0].expect: unknown field",
            "`verdict`?",
        ),
        ("explained,", "fine,", "12:23", "targets[0].expect.verdict", "one of those"),
        ("f16 toward-zero", "f16", "12:62", "no format and rounding", "toward-zero"),
        ("to: [q]", "to: []", "6:6", "it names no value", "at least one"),
        ("  - on: mnn:cpu", "  - when: {}", "13:5", "missing field `on`", "`on`"),
        (
            "\"Split and view: 2049 becomes 2048\"",
            "a: b",
            "2:9",
            "mapping values are not allowed",
            "quotes",
        ),
        (WHOLE, "", "1:1", "missing field `id`", "an id"),
    ] {
        let changed = WHOLE.replacen(from, to, 1);
        let error = load(&changed).unwrap_err();
        let said = error.to_string();
        assert!(said.contains(words), "{said}, not {words}");
        assert!(said.contains(&format!("case.yaml:{place}: ")), "{said}, not at {place}");
        let advice = error.hint().unwrap();
        assert!(advice.contains(hint), "{said}: {advice}, not {hint}");
        assert!(!said.contains(" at line ") && !said.contains('\n'), "{said}");
    }
}

#[test]
fn what_is_no_text_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| -> PathBuf {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    for path in [
        write("m.onnx", &[0x08, 0x08, 0x12, 0xff]),
        write("huge.yaml", &vec![b'#'; 2 << 20]),
        folder.path().join("none.yaml"),
        folder.path().to_owned(),
    ] {
        let error = Case::load(&path).unwrap_err();
        assert!(error.to_string().starts_with("read case ") && error.hint().is_some(), "{error}");
    }
    let case = load("id: a\ntitle: t\nmodel: m.onnx\n").unwrap();
    assert!(case.write(Path::new("/no/such/folder/c.yaml")).unwrap_err().hint().is_some());
}
