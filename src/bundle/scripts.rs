//! The programs and the page of a bundle, for readers without offby.

use super::BundledFinding;
use std::fmt::Write as _;

/// The values that the programs need.
#[derive(Debug, Clone)]
pub struct Reproduction<'a> {
    /// The finding to reproduce.
    pub finding: &'a BundledFinding,
    /// The number and name of the backend in MNN, and MNN's numbers of precision and mode; `None`
    /// if the target is not MNN.
    pub mnn: Option<MnnSettings>,
    /// Each input: its name and its file.
    pub inputs: &'a [(String, String)],
    /// Each output: its name, the file of the reference's tensor, and the file of the target's tensor.
    pub outputs: &'a [(String, String, Option<String>)],
}

/// A target in MNN's own numbers.
#[derive(Debug, Clone, Copy)]
pub struct MnnSettings {
    /// `MNNForwardType`.
    pub forward_type: u32,
    /// The backend's name in MNN's Python package.
    pub python_backend: &'static str,
    /// `BackendConfig::PrecisionMode`.
    pub precision: u32,
    /// The name of the precision in MNN's Python package.
    pub python_precision: &'static str,
}

const PYTHON: &str = include_str!("reproduce.py");
const CPP: &str = include_str!("reproduce.cpp");

/// A Python program that needs only the `MNN` package and numpy.
pub fn python(reproduction: &Reproduction<'_>) -> Option<String> {
    let mnn = reproduction.mnn?;
    let quoted = |text: &str| serde_json::to_string(text).unwrap_or_default();
    let inputs: Vec<String> = reproduction
        .inputs
        .iter()
        .map(|(name, file)| format!("    {}: {},", quoted(name), quoted(file)))
        .collect();
    let outputs: Vec<String> = reproduction
        .outputs
        .iter()
        .map(|(name, right, found)| {
            let found = found.as_deref().map_or("None".to_owned(), quoted);
            format!("    {}: ({}, {found}),", quoted(name), quoted(right))
        })
        .collect();
    Some(
        PYTHON
            .replace("@BACKEND@", mnn.python_backend)
            .replace("@PRECISION@", mnn.python_precision)
            .replace("@FORWARD@", &mnn.forward_type.to_string())
            .replace("    @INPUTS@", &inputs.join("\n"))
            .replace("    @OUTPUTS@", &outputs.join("\n")),
    )
}

/// A C++ program against MNN's public interface.
pub fn cpp(reproduction: &Reproduction<'_>) -> Option<String> {
    let mnn = reproduction.mnn?;
    let quoted = |text: &str| serde_json::to_string(text).unwrap_or_default();
    let mut inputs = String::new();
    for (name, file) in reproduction.inputs {
        let _ = writeln!(inputs, "    {{{}, {}}},", quoted(name), quoted(file));
    }
    let mut outputs = String::new();
    for (name, right, _) in reproduction.outputs {
        let _ = writeln!(outputs, "    {{{}, {}}},", quoted(name), quoted(right));
    }
    Some(
        CPP.replace("@FORWARD@", &mnn.forward_type.to_string())
            .replace("@PRECISION@", &mnn.precision.to_string())
            .replace("    @INPUTS@\n", &inputs)
            .replace("    @OUTPUTS@\n", &outputs),
    )
}

/// The page that explains the bundle and how to reproduce the finding.
pub fn readme(reproduction: &Reproduction<'_>, file: &str) -> String {
    let BundledFinding { target, kind, sentence, node, ran_on, .. } = reproduction.finding;
    let mut text = format!("# {kind} on {target}\n\n{sentence}\n\n");
    if let Some(node) = node {
        let _ = writeln!(text, "It comes from node `{node}` of a larger network.");
    }
    let _ = writeln!(text, "Seen on {ran_on}.\n");
    let _ = write!(
        text,
        "## With offby\n\n```sh\noffby replay {file}\noffby replay {file} --on mnn:vulkan:high   # on another target\n```\n\n"
    );
    if reproduction.mnn.is_some() {
        text.push_str(
            "## Without offby\n\n```sh\npython reproduce.py        # pip install MNN numpy; the package of 3.6.1 has the CPU only\nc++ -std=c++17 reproduce.cpp -I $MNN/include -L $MNN/build -lMNN -o reproduce && ./reproduce\n```\n\n",
        );
    }
    text.push_str(
        "## What is here\n\n| file | what |\n| --- | --- |\n| model.onnx, model.mnn | the network cut down to the finding, and MNN's form of it |\n| inputs, expected, found | what it is fed, what the reference makes of it, what the target made of it |\n| case.yaml | the same as a case for `offby case run` |\n| report.* | the report on the whole network |\n| manifest.json | every file with its digest, and what was left out |\n",
    );
    text
}
