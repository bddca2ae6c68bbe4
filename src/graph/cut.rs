//! Truncates a model to the nodes that are needed between some values and some others.

use super::boundary::{Boundary, Cut, NeededParts};
use super::value_info::declare;
use super::wiring::{Wiring, defines, subgraphs};
use super::{CutError, Model, Unused, ValueName, closest, external, keep};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use tract_onnx::pb::{ModelProto, NodeProto, ValueInfoProto};

/// A piece with more external data than this keeps it in its files.
const INLINED: u64 = 256 << 20;

impl Model {
    /// The truncated model: only the nodes, constants and inputs that the cut's outputs need, in
    /// the file's order.
    ///
    /// External data is read and stored in the new model, unless it is large: then it stays in its files, and
    /// [`Model::to_whole_bytes`] reads it. The new path names a file that does not
    /// exist yet, in this model's folder. The digest is computed from the new model's bytes. An
    /// output without a declared type gets its operator's most likely type and no shape. ONNX's
    /// checker requires a shape: call [`Model::declare`] if the shape is known.
    ///
    /// # Errors
    /// When a name is unknown, an output needs no node, or no output needs a boundary. When a file
    /// with external data is missing or too short.
    pub fn cut(&self, cut: &Cut) -> Result<Model, CutError> {
        // A value inside a replaced operator is only in the network of ONNX's own operators.
        if let Some(Ok(model)) = self.written.as_ref().map(|written| written.cut(cut)) {
            return Ok(model.in_own_operators());
        }
        let wiring = Wiring::of(self.graph());
        let stops = self.stops(cut, &wiring)?;
        let needed = NeededParts::of(&cut.to, stops, &wiring);
        check_boundaries(cut, &wiring, &needed)?;
        let mut proto = ModelProto {
            graph: Some(keep::graph(self.proto(), cut, &wiring, &needed)),
            ..keep::frame(self.proto())
        };
        let folder = self.path().parent().unwrap_or(Path::new(""));
        if external::bytes(&proto, folder)? <= INLINED {
            external::inline(&mut proto, folder)?;
        }
        let mut model = Model::assembled(proto, self.path())?;
        model.exported = self.exported.clone();
        let path = new_path(self.path(), cut, model.digest().hex());
        model.set_path(path);
        Ok(model)
    }

    /// The value that a user means: the value of that name, or the first output of the node of that name.
    ///
    /// # Errors
    /// When no value and no node has that name; the error has the nearest name. Also when several
    /// nodes have it.
    pub fn find_value(&self, name: &str) -> Result<ValueName, CutError> {
        let wiring = Wiring::of(self.graph());
        if wiring.has(name) {
            return Ok(name.into());
        }
        let first_output = |node: super::Node<'_>| {
            node.outputs.iter().find(|output| !output.is_empty()).map(|o| o.as_str().into())
        };
        let bears = |node: &super::Node<'_>| !name.is_empty() && node.name == name;
        let meant: Vec<ValueName> = self.nodes().filter(bears).filter_map(first_output).collect();
        match meant.as_slice() {
            [one] => Ok(one.clone()),
            [] => Err(self.unknown(name, &wiring)),
            _ => Err(CutError::Ambiguous { name: name.to_owned(), values: meant }),
        }
    }

    /// The model's inputs that a value depends on, even if only through their shapes.
    pub fn inputs_behind(&self, value: &ValueName) -> Vec<ValueName> {
        let wiring = Wiring::of(self.graph());
        let needed = NeededParts::of(std::slice::from_ref(value), BTreeSet::new(), &wiring);
        let inputs = self.inputs().iter().map(|input| &input.name);
        inputs.filter(|name| needed.leaves.contains(name.as_str())).cloned().collect()
    }

    /// Declares element types and shapes of inputs, outputs and inner values. A new declaration
    /// replaces an older one. Names that the model does not have are skipped. The digest is updated
    /// to the new bytes.
    pub fn declare(&mut self, values: &[Boundary]) {
        let wiring = Wiring::of(self.graph());
        let is_there = |value: &&Boundary| wiring.has(value.name.as_str());
        let new: Vec<ValueInfoProto> = values
            .iter()
            .filter(is_there)
            .map(|value| declare(value.name.as_str(), value.dtype, &value.shape))
            .collect();
        let by_name: BTreeMap<&str, &ValueInfoProto> =
            new.iter().map(|value| (value.name.as_str(), value)).collect();
        let mut declared = BTreeSet::new();
        let graph = self.graph_mut();
        let all = graph.input.iter_mut().chain(&mut graph.output).chain(&mut graph.value_info);
        for known in all {
            if let Some(value) = by_name.get(known.name.as_str()) {
                known.r#type.clone_from(&value.r#type);
                declared.insert(value.name.as_str());
            }
        }
        let undeclared = new.iter().filter(|value| declared.insert(value.name.as_str()));
        graph.value_info.extend(undeclared.cloned());
        self.reread_inputs();
        self.redigest();
        if let Some(written) = &mut self.written {
            std::sync::Arc::make_mut(written).declare(values);
        }
    }

    /// Checks every name of a cut. Returns the values at which tracing back from the outputs stops.
    fn stops<'a>(&self, cut: &'a Cut, wiring: &Wiring<'_>) -> Result<BTreeSet<&'a str>, CutError> {
        let boundaries = cut.from.iter().map(|boundary| &boundary.name);
        let constants = cut.constants.iter().map(|(name, _)| name);
        let stops = self.distinct(boundaries.chain(constants), wiring)?;
        self.distinct(cut.to.iter(), wiring)?;
        if cut.to.is_empty() {
            return Err(CutError::NoOutput);
        }
        for name in &cut.to {
            let what = if stops.contains(name.as_str()) {
                "it is where the cut begins"
            } else if wiring.producer(name.as_str()).is_some() {
                continue;
            } else if wiring.is_fed(name.as_str()) {
                "it is an input of the model"
            } else {
                "it is a constant of the model"
            };
            return Err(CutError::NothingToCompute { name: name.clone(), what });
        }
        Ok(stops)
    }

    fn distinct<'a>(
        &self,
        names: impl Iterator<Item = &'a ValueName>,
        wiring: &Wiring<'_>,
    ) -> Result<BTreeSet<&'a str>, CutError> {
        let mut seen = BTreeSet::new();
        for name in names {
            if !wiring.has(name.as_str()) {
                return Err(self.unknown(name.as_str(), wiring));
            }
            if !seen.insert(name.as_str()) {
                return Err(CutError::Twice { name: name.clone() });
            }
        }
        Ok(seen)
    }

    fn unknown(&self, name: &str, wiring: &Wiring<'_>) -> CutError {
        let graph = self.graph();
        let holds = |node: &&NodeProto| subgraphs(node).any(|inner| defines(inner, name));
        if let Some(node) = graph.node.iter().find(holds) {
            let label =
                [&node.name].into_iter().chain(&node.output).find(|label| !label.is_empty());
            let node = label.cloned().unwrap_or_default();
            return CutError::InSubgraph { name: name.to_owned(), node };
        }
        let nodes = graph.node.iter().map(|node| node.name.as_str());
        let candidates = wiring.values().chain(nodes).filter(|candidate| !candidate.is_empty());
        let closest = closest(name, candidates).map(str::to_owned);
        let outputs = self.outputs().to_vec();
        CutError::Unknown { name: name.to_owned(), closest, outputs }
    }
}

/// Checks that every boundary is read. An unread boundary means that the user meant a different cut.
fn check_boundaries(
    cut: &Cut,
    wiring: &Wiring<'_>,
    needed: &NeededParts<'_>,
) -> Result<(), CutError> {
    let unread = |boundary: &&Boundary| !needed.leaves.contains(boundary.name.as_str());
    let Some(boundary) = cut.from.iter().find(unread) else { return Ok(()) };
    let name = boundary.name.clone();
    // Traces back without any boundary: is the value needed at all? If not, is it computed from an output?
    let whole = NeededParts::of(&cut.to, BTreeSet::new(), wiring);
    if whole.reads(name.as_str(), wiring) {
        let others = needed.stops.iter().filter(|stop| **stop != name.as_str());
        let others = others.map(|stop| ValueName::from(*stop)).collect();
        return Err(CutError::UnusedBoundary { name, why: Unused::Covered { others } });
    }
    let back = NeededParts::of(std::slice::from_ref(&name), BTreeSet::new(), wiring);
    let passed = cut.to.iter().find(|to| back.reads(to.as_str(), wiring));
    let why = passed.map_or(Unused::Unrelated, |to| Unused::After { to: to.clone() });
    Err(CutError::UnusedBoundary { name, why })
}

/// A path in the model's folder that names the cut. No file has this path yet.
fn new_path(path: &Path, cut: &Cut, digest: &str) -> PathBuf {
    const LONGEST: usize = 60;
    let stem = path.file_stem().map(|stem| stem.to_string_lossy()).unwrap_or("model".into());
    let names: Vec<&str> = cut.to.iter().map(ValueName::as_str).collect();
    let plain = |c: char| if c.is_ascii_alphanumeric() || "_-".contains(c) { c } else { '_' };
    let to: String = names.join("+").chars().map(plain).take(LONGEST).collect();
    let digest: String = digest.chars().take(8).collect();
    let mut name = format!("{stem}.to-{to}-{digest}");
    // A reader of the model must find its bytes at this path, not the bytes of an older file.
    while path.with_file_name(format!("{name}.onnx")).exists() {
        name.push('_');
    }
    path.with_file_name(format!("{name}.onnx"))
}
