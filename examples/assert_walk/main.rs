//! A network walked from a Rust program, with an assertion on the result.
//!
//! `cargo run --release --example assert_walk -- debug-models/small_mlp.onnx mnn:cpu` exits with 0, and with
//! `debug-models/layer_norm_256.onnx mnn:opencl:high` it names the operator and exits with 101.

use offby::verdict::{Kind, News};
use offby::{Error, Model, Session, Target};
use std::env;
use std::path::Path;

fn main() -> Result<(), Error> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [model, target] = arguments.as_slice() else {
        return Err(Error::new("start", "assert_walk MODEL.onnx TARGET, with OFFBY=path/to/offby"));
    };
    let worker = env::var_os("OFFBY").unwrap_or_else(|| "offby".into());
    let target: Target = target.parse()?;

    let session =
        Session::of(Model::load(Path::new(model))?).input("sine").worker(worker).open()?;
    let report = session.walk(&target)?;
    let walked = &report.targets[0];

    let sources: Vec<&str> = walked.sources().map(|source| source.name.as_str()).collect();
    assert!(
        sources.is_empty(),
        "{target}: {sources:?} introduce error: {}",
        walked.verdict.sentence
    );
    assert_eq!(walked.verdict.kind.news(), News::Good, "{}", walked.verdict.sentence);
    assert_ne!(walked.verdict.kind, Kind::Explained, "no rounding is expected in f32");
    Ok(())
}
