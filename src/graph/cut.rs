//! Truncating a model: only what is needed between some values and some others stays.

use super::value_info::declare;
use super::wiring::{Wiring, defines, subgraphs};
use super::{CutError, Model, Unused, ValueName, closest, external, keep};
use crate::tensor::{Dtype, Tensor};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use tract_onnx::pb::{ModelProto, NodeProto};

/// A value whose element type and shape are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Boundary {
    /// The value.
    pub name: ValueName,
    /// Its element type.
    pub dtype: Dtype,
    /// The extent of each axis.
    pub shape: Vec<usize>,
}

/// What to keep of a model.
#[derive(Debug, Clone, Default)]
pub struct Cut {
    /// The values that become the outputs, in this order.
    pub to: Vec<ValueName>,
    /// The values that become inputs; what computes them is left out.
    pub from: Vec<Boundary>,
    /// Values that become initializers with these numbers, such as computed shapes. Those that
    /// nothing reads are left out without a word.
    pub constants: Vec<(ValueName, Tensor)>,
}

impl Cut {
    /// The cut that keeps all that one value needs.
    pub fn to(value: ValueName) -> Self {
        Cut { to: vec![value], ..Cut::default() }
    }
}

impl Model {
    /// The model truncated: nodes, constants and inputs that the cut's outputs need, in the file's
    /// order, and nothing else.
    ///
    /// External data is read and stored inside. The path names a file beside this model's that does
    /// not exist; the digest is that of the new model's own bytes. An output whose type the file does
    /// not declare gets the one its operator most likely gives, and no shape. ONNX's checker wants
    /// one: [`Model::declare`] it where it is known.
    ///
    /// # Errors
    /// When a name is unknown, an output needs no node, a boundary is not needed by any output, or
    /// the result does not fit a protobuf message.
    pub fn cut(&self, cut: &Cut) -> Result<Model, CutError> {
        let wiring = Wiring::of(self.graph());
        let stops = self.stops(cut, &wiring)?;
        let needed = Needed::of(&cut.to, stops, &wiring);
        check_boundaries(cut, &wiring, &needed)?;
        let mut proto = ModelProto {
            graph: Some(keep::graph(self.proto(), cut, &wiring, &needed)),
            ..keep::frame(self.proto())
        };
        external::inline(&mut proto, self.path().parent().unwrap_or(Path::new("")))?;
        let mut model = Model::assembled(proto, self.path())?;
        let path = new_path(self.path(), cut, model.digest().hex());
        model.set_path(path);
        Ok(model)
    }

    /// The value a user means: a value's own name, or a node's, which stands for its first output.
    ///
    /// # Errors
    /// When there is neither, with the nearest name; or several nodes bear that name.
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

    /// The model's inputs that a value depends on in any way, be it only by their shapes.
    pub fn inputs_behind(&self, value: &ValueName) -> Vec<ValueName> {
        let wiring = Wiring::of(self.graph());
        let needed = Needed::of(std::slice::from_ref(value), BTreeSet::new(), &wiring);
        let inputs = self.inputs().iter().map(|input| &input.name);
        inputs.filter(|name| needed.leaves.contains(name.as_str())).cloned().collect()
    }

    /// Declares element types and shapes: of inputs and outputs in place of what is declared, of
    /// inner values as well. Names the model has not are passed over; the digest becomes that of
    /// the new bytes.
    pub fn declare(&mut self, values: &[Boundary]) {
        let wiring = Wiring::of(self.graph());
        let known: BTreeSet<ValueName> =
            values.iter().filter(|v| wiring.has(v.name.as_str())).map(|v| v.name.clone()).collect();
        let graph = self.graph_mut();
        for value in values.iter().filter(|value| known.contains(&value.name)) {
            let name = value.name.as_str();
            let info = declare(name, value.dtype, &value.shape);
            let all = graph.input.iter_mut().chain(&mut graph.output).chain(&mut graph.value_info);
            let mut declared = false;
            for known in all.filter(|known| known.name == name) {
                known.r#type.clone_from(&info.r#type);
                declared = true;
            }
            if !declared {
                graph.value_info.push(info);
            }
        }
        self.reread_inputs();
        self.redigest();
    }

    /// Checks every name of a cut; the values at which tracing back from the outputs stops.
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

/// What the outputs of a cut need.
pub(super) struct Needed<'a> {
    /// The values at which tracing back stopped: new inputs and new constants.
    pub(super) stops: BTreeSet<&'a str>,
    /// For each node whether it stays.
    pub(super) nodes: Vec<bool>,
    /// The values that kept nodes read and get from no node.
    pub(super) leaves: BTreeSet<&'a str>,
}

impl<'a> Needed<'a> {
    fn of(to: &[ValueName], stops: BTreeSet<&'a str>, wiring: &Wiring<'a>) -> Self {
        let (mut nodes, mut leaves) = (vec![false; wiring.node_count()], BTreeSet::new());
        let mut open: Vec<usize> =
            to.iter().filter_map(|name| wiring.producer(name.as_str())).collect();
        while let Some(node) = open.pop() {
            if std::mem::replace(&mut nodes[node], true) {
                continue;
            }
            for &value in wiring.reads(node) {
                match wiring.producer(value).filter(|_| !stops.contains(value)) {
                    Some(producer) => open.push(producer),
                    None => drop(leaves.insert(value)),
                }
            }
        }
        Needed { stops, nodes, leaves }
    }

    /// Whether a kept node reads the value.
    fn reads(&self, value: &str, wiring: &Wiring<'_>) -> bool {
        let mut kept = self.nodes.iter().enumerate().filter(|(_, kept)| **kept);
        kept.any(|(node, _)| wiring.reads(node).contains(&value))
    }
}

/// Every boundary must be read, else the cut is not the one that was meant.
fn check_boundaries(cut: &Cut, wiring: &Wiring<'_>, needed: &Needed<'_>) -> Result<(), CutError> {
    let unread = |boundary: &&Boundary| !needed.leaves.contains(boundary.name.as_str());
    let Some(boundary) = cut.from.iter().find(unread) else { return Ok(()) };
    let name = boundary.name.clone();
    // Without any boundary: is it needed at all, and if not, does it lie behind an output?
    let whole = Needed::of(&cut.to, BTreeSet::new(), wiring);
    if whole.reads(name.as_str(), wiring) {
        let others = needed.stops.iter().filter(|stop| **stop != name.as_str());
        let others = others.map(|stop| ValueName::from(*stop)).collect();
        return Err(CutError::UnusedBoundary { name, why: Unused::Covered { others } });
    }
    let back = Needed::of(std::slice::from_ref(&name), BTreeSet::new(), wiring);
    let passed = cut.to.iter().find(|to| back.reads(to.as_str(), wiring));
    let why = passed.map_or(Unused::Unrelated, |to| Unused::After { to: to.clone() });
    Err(CutError::UnusedBoundary { name, why })
}

/// A path beside the model's that says what was cut and is no file yet.
fn new_path(path: &Path, cut: &Cut, digest: &str) -> PathBuf {
    const LONGEST: usize = 60;
    let stem = path.file_stem().map(|stem| stem.to_string_lossy()).unwrap_or("model".into());
    let names: Vec<&str> = cut.to.iter().map(ValueName::as_str).collect();
    let plain = |c: char| if c.is_ascii_alphanumeric() || "_-".contains(c) { c } else { '_' };
    let to: String = names.join("+").chars().map(plain).take(LONGEST).collect();
    let digest: String = digest.chars().take(8).collect();
    let mut name = format!("{stem}.to-{to}-{digest}");
    // Whoever reads the model finds its bytes here, never another file's.
    while path.with_file_name(format!("{name}.onnx")).exists() {
        name.push('_');
    }
    path.with_file_name(format!("{name}.onnx"))
}
