//! The one-node networks that ONNX ships as tests.

use offby::case::{BackendTest, find_backend_tests};
use offby::graph::{Model, ValueName, read_tensor_proto, widened};
use offby::inputs::Feed;
use offby::tensor::{Dtype, Tensor};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Operators that draw random numbers, or that contain graphs.
const LEFT_OUT: [&str; 11] = [
    "Bernoulli",
    "If",
    "ImageDecoder",
    "Loop",
    "Multinomial",
    "RandomNormal",
    "RandomNormalLike",
    "RandomUniform",
    "RandomUniformLike",
    "Scan",
    "SequenceMap",
];

/// A network of one node, with its inputs.
pub(crate) struct Case {
    /// The test's name.
    pub(crate) name: String,
    /// The node's operator type.
    pub(crate) op_type: String,
    /// The network, without 16-bit floating-point numbers.
    pub(crate) model: Model,
    /// The inputs that come with the network.
    pub(crate) feeds: Vec<Feed>,
    /// The outputs that ONNX ships for these inputs, including 16-bit outputs.
    pub(crate) shipped: Option<Vec<Tensor>>,
    /// The element types of the outputs, without the omitted outputs.
    pub(crate) types: Vec<Option<Dtype>>,
}

impl Case {
    /// A network with its inputs; the error says why it is left out.
    pub(crate) fn new(name: &str, model: Model, inputs: Vec<Tensor>) -> Result<Self, String> {
        let narrow = model.is_narrow();
        let model = if narrow { model.widened().map_err(|e| e.to_string())? } else { model };
        if model.node_count() != 1 {
            return Err("it has several nodes".into());
        }
        let node = model.node(0);
        let op_type = node.op_type.to_owned();
        if !["", "ai.onnx"].contains(&node.domain) {
            return Err("it is of another domain".into());
        }
        let is_random = LEFT_OUT.contains(&op_type.as_str())
            || (op_type == "Dropout" && node.inputs.get(2).is_some_and(|name| !name.is_empty()));
        if is_random {
            return Err("it draws at random, decodes images or holds graphs".into());
        }
        if model.inputs().is_empty() || model.inputs().len() != inputs.len() {
            return Err("it has no inputs, or other ones than are given".into());
        }
        let written = node.outputs.iter().filter(|output| !output.is_empty());
        let declared = |output: &String| model.value_info(&ValueName::from(output.as_str()));
        let types = written.map(|output| Some(declared(output)?.dtype)).collect();
        let names = model.inputs().iter().map(|input| input.name.clone());
        let feeds = names.zip(inputs).map(|(name, tensor)| feed(name, widened(&tensor))).collect();
        Ok(Case { name: name.to_owned(), op_type, model, feeds, shipped: None, types })
    }

    fn of_test(test: &BackendTest) -> Result<Self, String> {
        let tensors = |paths: &[PathBuf]| -> Result<Vec<Tensor>, String> {
            let read = |path: &PathBuf| read_tensor_proto(path);
            let read: Result<_, _> = paths.iter().map(read).collect();
            read.map_err(|_| "it feeds or gives what is no tensor of numbers".into())
        };
        let model = Model::load(&test.model);
        let model = model.map_err(|_| "it feeds or gives what is no tensor of numbers")?;
        let case = Case::new(&test.name, model, tensors(&test.inputs)?)?;
        let shipped = Some(tensors(&test.outputs)?);
        Ok(Case { shipped, ..case })
    }
}

/// A tensor as a feed.
pub(crate) fn feed(name: ValueName, tensor: Tensor) -> Feed {
    Feed::new(name, "referee sweep", tensor)
}

/// How many tests are left out, for each reason.
#[derive(Default)]
pub(crate) struct Skipped(BTreeMap<String, usize>);

impl Skipped {
    /// The number of skipped tests.
    pub(crate) fn len(&self) -> usize {
        self.0.values().sum()
    }

    /// The reasons.
    pub(crate) fn words(&self) -> String {
        let reasons: Vec<String> =
            self.0.iter().map(|(reason, count)| format!("{reason} ({count})")).collect();
        reasons.join("; ")
    }
}

/// Finds the tests of single nodes in a folder.
pub(crate) fn find(folder: &Path) -> Result<(Vec<Case>, Skipped), String> {
    let tests = find_backend_tests(folder)
        .map_err(|error| format!("read the tests in {}: {error}", folder.display()))?;
    if tests.is_empty() {
        return Err(format!("there is no test in {}", folder.display()));
    }
    let (mut cases, mut skipped) = (Vec::new(), Skipped::default());
    for test in &tests {
        match Case::of_test(test) {
            Ok(case) => cases.push(case),
            Err(reason) => *skipped.0.entry(reason).or_default() += 1,
        }
    }
    Ok((cases, skipped))
}
