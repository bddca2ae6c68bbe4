//! onnx's checker and onnxruntime, from the Python environment that `scripts/up test` prepares.

#![allow(dead_code, reason = "every test file uses a part of it")]

use offby::tensor::{Tensor, read_npy, write_npy};
use serde_json::{Value, json};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

const SCRIPT: &str = include_str!("judge.py");

/// The programs that judge models; they need Python, onnx and onnxruntime.
pub(crate) struct Judge {
    python: PathBuf,
}

impl Judge {
    /// The judges. If they are missing, the test fails.
    pub(crate) fn start() -> Judge {
        Self::found().expect("onnx and onnxruntime are missing: `scripts/up test` installs them")
    }

    /// The judges, if they are installed.
    pub(crate) fn found() -> Option<Judge> {
        let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let cache = set("XDG_CACHE_HOME").map(PathBuf::from);
        let home = || set("HOME").map(|home| Path::new(&home).join(".cache"));
        let cache = cache.or_else(home).unwrap_or_default();
        let python = cache.join("offby/venv/bin/python");
        let imported = Command::new(&python)
            .args(["-c", "import onnx, onnxruntime"])
            .stderr(Stdio::null())
            .status();
        imported.is_ok_and(|status| status.success()).then_some(Judge { python })
    }

    /// The Python of the judges.
    pub(crate) fn python(&self) -> &Path {
        &self.python
    }

    /// Fails unless the checker accepts every model.
    pub(crate) fn check(&self, models: &[PathBuf]) {
        let jobs = models.iter().map(|path| json!({ "model": path })).collect::<Vec<_>>();
        for (model, answer) in models.iter().zip(self.ask(&jobs)) {
            assert_eq!(answer["ok"], true, "{}: {}", model.display(), answer["why"]);
        }
    }

    /// onnxruntime's values for a checked model: the requested values, whether they are outputs or not.
    pub(crate) fn run(
        &self,
        model: &Path,
        feeds: &[(&str, &Tensor)],
        values: &[&str],
    ) -> Vec<Tensor> {
        let folder = TempDir::new().expect("a temporary folder can be made");
        let mut paths = serde_json::Map::new();
        for (at, (name, tensor)) in feeds.iter().enumerate() {
            let path = folder.path().join(format!("feed-{at}.npy"));
            write_npy(&path, tensor).expect("a temporary file can be written");
            paths.insert((*name).to_owned(), json!(path));
        }
        let job =
            json!({ "model": model, "feeds": paths, "values": values, "folder": folder.path() });
        let answer = self.ask(&[job]).remove(0);
        assert_eq!(answer["ok"], true, "{}: {}", model.display(), answer["why"]);
        let stored = |at: usize| read_npy(&folder.path().join(format!("{at}.npy")));
        (0..values.len()).map(|at| stored(at).expect("the judge wrote it")).collect()
    }

    fn ask(&self, jobs: &[Value]) -> Vec<Value> {
        let mut child = Command::new(&self.python)
            .args(["-c", SCRIPT])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Python starts");
        let lines: String = jobs.iter().map(|job| format!("{job}\n")).collect();
        let mut stdin = child.stdin.take().expect("stdin is piped");
        let writer = std::thread::spawn(move || stdin.write_all(lines.as_bytes()));
        let output = child.wait_with_output().expect("Python ends");
        writer.join().expect("the writer does not panic").expect("Python reads all jobs");
        let text = String::from_utf8(output.stdout).expect("JSON is UTF-8");
        let answers = text.lines().map(|line| serde_json::from_str(line).expect("it is JSON"));
        let answers: Vec<Value> = answers.collect();
        assert_eq!(answers.len(), jobs.len(), "every job is answered");
        answers
    }
}
