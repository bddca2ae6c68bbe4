//! Which release of an engine is the first wrong one: a package with five versions, which a script in pip's place installs.

use crate::support::judge::Judge;
use crate::support::{debug_model, finish_json, offby};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// Answers as pip does; a version is a folder with its number.
const PIP: &str = r#"#!/bin/sh
case "$*" in
    *"index versions"*) echo "engine (5)"; echo "Available versions: 5, 4, 3, 2, 1" ;;
    *install*)
        while [ $# -gt 0 ]; do
            case "$1" in --target) target=$2 ;; engine==*) version=${1#engine==} ;; esac
            shift
        done
        test "$version" != 3 || { echo "ERROR: version 3 is broken" >&2; exit 1; }
        echo "VERSION = $version" > "$target/engine.py" ;;
    *) exec @PYTHON@ "$@" ;;
esac
"#;

/// Version 4 and later add one to each element.
const WORKER: &str = r#"
import sys
sys.path.insert(0, "@EXAMPLES@")
from worker import serve
import engine
import onnx
from onnx.reference import ReferenceEvaluator

def of_onnx(model):
    network = ReferenceEvaluator(onnx.load_from_string(model))
    ran_on = {"engine": "engine", "engine_version": str(engine.VERSION), "backend": "cpu", "device": "", "driver": ""}
    def infer(feeds):
        outputs = network.run(None, feeds)
        return dict(zip(network.output_names, [o + (engine.VERSION >= 4) for o in outputs]))
    return infer, ran_on

serve(of_onnx)
"#;

fn bisect(folder: &Path, arguments: &[&str]) -> (i32, Value) {
    let judge = Judge::start();
    let pip = folder.join("python-with-versions");
    fs::write(&pip, PIP.replace("@PYTHON@", &judge.python().display().to_string())).unwrap();
    fs::set_permissions(&pip, fs::Permissions::from_mode(0o755)).unwrap();
    let worker = folder.join("engine_worker.py");
    let examples = concat!(env!("CARGO_MANIFEST_DIR"), "/examples");
    fs::write(&worker, WORKER.replace("@EXAMPLES@", examples)).unwrap();
    let via = format!("{} {}", pip.display(), worker.display());
    let mut command = offby();
    command.env("XDG_CACHE_HOME", folder).arg("bisect").arg(debug_model("small_mlp.onnx"));
    command.args(["--on", "ext:engine", "--via", &via, "--versions", "pip:engine"]);
    command.args(arguments).args(["--json", "-"]);
    finish_json(command)
}

#[test]
#[ignore = "needs onnx and onnxruntime for Python"]
fn the_first_wrong_release_is_found_around_one_that_does_not_install() {
    let folder = tempfile::tempdir().unwrap();
    let (code, report) = bisect(folder.path(), &[]);
    let versions = &report["versions"];
    assert_eq!((code, &versions["last_right"]), (1, &"2".into()), "{versions}");
    assert_eq!(versions["first_wrong"], "4", "{versions}");
    let third = versions["asked"].as_array().unwrap().iter().find(|asked| asked["version"] == "3");
    assert_eq!(third.unwrap()["answer"], "unknown", "{versions}");
    assert_eq!(report["targets"][0]["target"], "ext:engine@4", "{report}");
    let (code, report) = bisect(folder.path(), &["--bad", "2"]);
    assert_eq!((code, &report["versions"]["first_wrong"]), (0, &Value::Null), "{report}");
}
