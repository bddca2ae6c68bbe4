//! Loads, checks and inspects ONNX models.

use super::exporter::{Exported, exported};
use super::limit::PROTOBUF_LIMIT;
use super::tensor_proto::dtype;
use super::wiring::sparse_name;
use super::zeros::encoded;
use super::{
    FileContent, ModelError, TensorProtoError, ValueInfo, ValueName, external, from_proto,
};
use crate::tensor::{Digest, Dtype, Tensor};
use prost::Message as _;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tract_onnx::pb::{GraphProto, ModelProto, ValueInfoProto};

/// An ONNX model with at least one node, one output and an opset. All inputs are tensors of numbers.
#[derive(Debug, Clone)]
pub struct Model {
    /// Shared by copies of the model, until one of them is changed.
    proto: Arc<ModelProto>,
    path: PathBuf,
    digest: Digest,
    inputs: Vec<ValueInfo>,
    outputs: Vec<ValueName>,
    /// The file's own declarations, if shapes were fixed since.
    pub(super) declared: Option<Arc<Declarations>>,
    /// Where the nodes come from, by label, if the exporter wrote that.
    pub(super) exported: Arc<BTreeMap<String, Exported>>,
    /// Inputs to which the user gave a shape without elements.
    pub(super) empty: BTreeSet<ValueName>,
    /// Whether the file at `path` holds this network.
    is_stored: bool,
    /// The network as it is written, if some of its operators were replaced by ONNX's own.
    pub(super) written: Option<Arc<Model>>,
}

/// The declarations of a file's values.
#[derive(Debug)]
pub(super) struct Declarations {
    pub(super) input: Vec<ValueInfoProto>,
    pub(super) output: Vec<ValueInfoProto>,
}

/// One node of the graph, borrowed from its model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Node<'a> {
    /// Position in the file, which is a topological order.
    pub index: usize,
    /// The node's own name, possibly empty.
    pub name: &'a str,
    /// `Conv`, `Split`, ...
    pub op_type: &'a str,
    /// The operator set's domain; empty for ONNX's own.
    pub domain: &'a str,
    /// The values read; an empty name is an omitted optional input.
    pub inputs: &'a [String],
    /// The values written; an empty name is an omitted optional output.
    pub outputs: &'a [String],
}

impl Node<'_> {
    /// The node's name. If the node has none, the name of its first output.
    pub fn label(&self) -> &str {
        match self.outputs.first() {
            Some(output) if self.name.is_empty() => output,
            _ => self.name,
        }
    }
}

impl Model {
    /// Reads and checks an ONNX file, and checks that its external data exists.
    ///
    /// # Errors
    /// When the file is not a usable ONNX model. Every error has a hint.
    pub fn load(path: &Path) -> Result<Self, ModelError> {
        let model = Model::from_bytes(&read(path)?, path)?;
        let is_stored = !model.is_expanded();
        Ok(Model { is_stored, ..model })
    }

    /// Checks the bytes of an ONNX file. The folder of `path` holds the external data; the file
    /// need not exist.
    ///
    /// # Errors
    /// As [`Model::load`].
    pub fn from_bytes(bytes: &[u8], path: &Path) -> Result<Self, ModelError> {
        check_size(bytes.len() as u64, path)?;
        let not_onnx = |content| ModelError::NotOnnx { path: path.to_owned(), content };
        let content = FileContent::of(bytes, path);
        if content == FileContent::Mnn {
            return Err(not_onnx(content));
        }
        let proto = ModelProto::decode(bytes).map_err(|_| not_onnx(content))?;
        check_complete(&proto, path).map_err(|error| match content {
            FileContent::Unknown => error,
            // Protobuf decodes almost any bytes: a recognised foreign file is not a broken model.
            _ => not_onnx(content),
        })?;
        let mut model = Model::from_proto(proto, path, Digest::of([bytes]))?;
        model.exported = Arc::new(exported(bytes));
        let folder = path.parent().unwrap_or(Path::new(""));
        match external::first_missing(&model.proto, folder) {
            Some((tensor, reason)) => {
                Err(ModelError::ExternalData { path: path.to_owned(), tensor, reason })
            }
            None => Ok(model.in_own_operators()),
        }
    }

    fn from_proto(proto: ModelProto, path: &Path, digest: Digest) -> Result<Self, ModelError> {
        let graph = proto.graph.as_ref().ok_or_else(|| incomplete("graph", path))?;
        let inputs = read_inputs(graph).map_err(|(input, reason)| ModelError::Input {
            path: path.to_owned(),
            input,
            reason,
        })?;
        let outputs = graph.output.iter().map(|output| output.name.as_str().into()).collect();
        Ok(Model {
            proto: Arc::new(proto),
            path: path.to_owned(),
            digest,
            inputs,
            outputs,
            declared: None,
            exported: Arc::default(),
            empty: BTreeSet::new(),
            is_stored: false,
            written: None,
        })
    }

    /// A model assembled from parts of a different model. No file need exist at `path`.
    pub(super) fn assembled(proto: ModelProto, path: &Path) -> Result<Self, ModelError> {
        let digest = Digest::of([encoded(&proto).as_slice()]);
        Model::from_proto(proto, path, digest)
    }

    /// The inputs to feed: the graph's declared inputs that no initializer fills.
    pub fn inputs(&self) -> &[ValueInfo] {
        &self.inputs
    }

    /// The outputs, in the file's order.
    pub fn outputs(&self) -> &[ValueName] {
        &self.outputs
    }

    /// The file's declaration of an input, output or intermediate value. `None` if the file has no
    /// declaration or the value is not a tensor of numbers.
    pub fn value_info(&self, name: &ValueName) -> Option<ValueInfo> {
        let graph = self.graph();
        let declared = graph.input.iter().chain(&graph.output).chain(&graph.value_info);
        declared
            .filter(|value| value.name == name.as_str())
            .find_map(|value| ValueInfo::read(value).ok())
    }

    /// The numbers of an initializer; `None` if the value is not an initializer.
    ///
    /// # Errors
    /// When the initializer holds no numbers, or its external file cannot be read.
    pub fn constant(&self, name: &ValueName) -> Result<Option<Tensor>, TensorProtoError> {
        let folder = self.path.parent().unwrap_or(Path::new(""));
        let stored = self.graph().initializer.iter().find(|tensor| tensor.name == name.as_str());
        stored.map(|tensor| from_proto(tensor, folder)).transpose()
    }

    /// The initializers that hold numbers. External files are read.
    pub fn initializers(&self) -> BTreeMap<ValueName, Tensor> {
        self.chosen_initializers(&|_| true)
    }

    /// The initializers that hold numbers, and whose name is wanted. External files are read.
    pub fn chosen_initializers(
        &self,
        is_wanted: &dyn Fn(&ValueName) -> bool,
    ) -> BTreeMap<ValueName, Tensor> {
        let folder = self.path.parent().unwrap_or(Path::new(""));
        let tensors = self.graph().initializer.iter().filter_map(|proto| {
            let name = ValueName::from(proto.name.as_str());
            let tensor = is_wanted(&name).then(|| from_proto(proto, folder).ok())??;
            Some((name, tensor))
        });
        tensors.collect()
    }

    /// The initializers of at least so many bytes, and their element types.
    pub fn large_initializers(&self, least: u64) -> BTreeMap<ValueName, Dtype> {
        let stored = self.graph().initializer.iter().filter_map(|proto| {
            let dtype = dtype(proto.data_type).ok()?;
            let bytes = proto.dims.iter().try_fold(dtype.size() as u64, |bytes, extent| {
                bytes.checked_mul(u64::try_from(*extent).ok()?)
            });
            (bytes? >= least).then(|| (ValueName::from(proto.name.as_str()), dtype))
        });
        stored.collect()
    }

    /// The number of nodes in the graph, without the nodes inside subgraphs.
    pub fn node_count(&self) -> usize {
        self.graph().node.len()
    }

    /// The nodes, in the file's order.
    pub fn nodes(&self) -> impl ExactSizeIterator<Item = Node<'_>> {
        (0..self.node_count()).map(|index| self.node(index))
    }

    /// The node at a place in the file.
    pub fn node(&self, index: usize) -> Node<'_> {
        let node = &self.graph().node[index];
        Node {
            index,
            name: &node.name,
            op_type: &node.op_type,
            domain: &node.domain,
            inputs: &node.input,
            outputs: &node.output,
        }
    }

    /// The version of ONNX's own operator set.
    pub fn opset(&self) -> i64 {
        let own = |domain: &str| domain.is_empty() || domain == "ai.onnx";
        self.proto.opset_import.iter().find(|set| own(&set.domain)).map_or(0, |set| set.version)
    }

    /// The digest of the bytes that the model was read from or first written to. Fixing shapes does
    /// not change the digest.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// The path that the model was read from. Its folder holds the external data.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file that holds this network. `None` if the network was made or changed here; only its inputs may have
    /// other shapes.
    pub fn file(&self) -> Option<&Path> {
        self.is_stored.then_some(&self.path)
    }

    /// The current model, encoded. The bytes can differ from the bytes of the file.
    pub fn to_bytes(&self) -> Vec<u8> {
        encoded(&self.proto)
    }

    /// The decoded protobuf, for the tract engine.
    pub fn proto(&self) -> &ModelProto {
        &self.proto
    }

    /// The graph.
    pub(super) fn graph(&self) -> &GraphProto {
        self.proto.graph.as_ref().expect("a model was checked to have a graph")
    }

    /// The graph, to change it. If its inputs change, the caller must call [`Model::reread_inputs`].
    pub(super) fn graph_mut(&mut self) -> &mut GraphProto {
        let proto = Arc::make_mut(&mut self.proto);
        proto.graph.as_mut().expect("a model was checked to have a graph")
    }

    /// Replaces the graph. Inputs and outputs must stay.
    pub(super) fn replace_proto(&mut self, proto: ModelProto) {
        self.proto = Arc::new(proto);
    }

    /// Changes the model's path.
    pub(super) fn set_path(&mut self, path: PathBuf) {
        self.path = path;
    }

    /// Updates [`Model::digest`] from the protobuf.
    pub(super) fn redigest(&mut self) {
        self.digest = Digest::of([self.to_bytes().as_slice()]);
        self.is_stored = false;
    }

    /// Updates [`Model::inputs`] from the protobuf.
    pub(super) fn reread_inputs(&mut self) {
        self.inputs =
            read_inputs(self.graph()).expect("only shapes have changed since the inputs were read");
    }
}

fn read(path: &Path) -> Result<Vec<u8>, ModelError> {
    let owned = || path.to_owned();
    let fail = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
            ModelError::Missing { path: owned() }
        }
        _ => ModelError::Read { path: owned(), source },
    };
    let facts = std::fs::metadata(path).map_err(fail)?;
    if facts.is_dir() {
        return Err(ModelError::Directory { path: owned() });
    }
    // Check the size before reading: the answer for a 40 GB file must not take 40 GB.
    check_size(facts.len(), path)?;
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(PROTOBUF_LIMIT + 1).read_to_end(&mut bytes))
        .map_err(fail)?;
    if bytes.is_empty() {
        return Err(ModelError::Empty { path: owned() });
    }
    Ok(bytes)
}

fn check_size(bytes: u64, path: &Path) -> Result<(), ModelError> {
    if bytes > PROTOBUF_LIMIT {
        return Err(ModelError::TooLarge { path: path.to_owned(), bytes });
    }
    Ok(())
}

fn incomplete(missing: &'static str, path: &Path) -> ModelError {
    ModelError::Incomplete { path: path.to_owned(), missing }
}

fn check_complete(proto: &ModelProto, path: &Path) -> Result<(), ModelError> {
    let graph = proto.graph.as_ref().ok_or_else(|| incomplete("graph", path))?;
    let parts = [
        ("opset", proto.opset_import.is_empty()),
        ("nodes", graph.node.is_empty()),
        ("outputs", graph.output.is_empty()),
    ];
    match parts.iter().find(|(_, absent)| *absent) {
        Some((missing, _)) => Err(incomplete(missing, path)),
        None => Ok(()),
    }
}

/// The graph's inputs that are not initializers. The error names the first input that cannot be fed, and why.
fn read_inputs(graph: &GraphProto) -> Result<Vec<ValueInfo>, (ValueName, String)> {
    let dense = graph.initializer.iter().map(|tensor| tensor.name.as_str());
    let sparse = graph.sparse_initializer.iter().map(sparse_name);
    let filled: BTreeSet<&str> = dense.chain(sparse).collect();
    let fed = graph.input.iter().filter(|input| !filled.contains(input.name.as_str()));
    fed.map(|input| ValueInfo::read(input).map_err(|reason| (input.name.as_str().into(), reason)))
        .collect()
}
