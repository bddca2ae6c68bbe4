//! Operators that only some engines have, in ONNX's own operators: functions that the file defines, and operators of
//! ONNX Runtime, which its optimizer and its exporters of language models write. Engines that have these operators
//! still get the network as it is written.

mod attention;
mod function;
mod heads;
mod norms;
mod products;
mod quantised;
mod replacement;
mod rotary;
#[cfg(test)]
mod tests;

use self::function::{Functions, inlined};
use self::replacement::{MOST, Replacement, ValueFacts};
use super::element_type::ElementTypes;
use super::value_info::{Dim, ValueInfo};
use super::wiring::subgraphs;
use super::{Model, Node};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tract_onnx::pb::{GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto};

/// The first version of ONNX's operators that has all that these definitions use: axes as inputs.
const OLDEST: i64 = 13;
/// How deep functions may call functions.
const DEEPEST: usize = 16;
/// The most new nodes: functions that call each other several times could make any number.
const MOST_NODES: usize = 1 << 16;
/// The domain of ONNX Runtime's own operators.
const MICROSOFT: &str = "com.microsoft";

/// Builds the standard nodes of a node; `None` if the node has a form without a definition here.
type Definition = fn(&mut Replacement<'_>) -> Option<()>;

fn definition(domain: &str, op_type: &str) -> Option<Definition> {
    Some(match (domain, op_type) {
        // ONNX Runtime keeps this one in ONNX's domain.
        ("" | MICROSOFT, "SimplifiedLayerNormalization") => norms::rms,
        (MICROSOFT, "SkipSimplifiedLayerNormalization") => norms::skip_rms,
        (MICROSOFT, "SkipLayerNormalization") => norms::skip_layer_norm,
        (MICROSOFT, "EmbedLayerNormalization") => norms::embed_layer_norm,
        (MICROSOFT, "RotaryEmbedding") => rotary::rotary_embedding,
        (MICROSOFT, "GroupQueryAttention") => attention::group_query,
        (MICROSOFT, "MultiHeadAttention") => attention::multi_head,
        (MICROSOFT, "Attention") => attention::attention,
        (MICROSOFT, "MatMulNBits") => products::matmul_bits,
        (MICROSOFT, "FusedMatMul") => products::fused_matmul,
        (MICROSOFT, "FusedConv") => products::fused_conv,
        (MICROSOFT, "FusedGemm") => products::fused_gemm,
        (MICROSOFT, "Gelu" | "BiasGelu") => products::gelu,
        (MICROSOFT, "FastGelu") => products::fast_gelu,
        (MICROSOFT, "QuickGelu") => products::quick_gelu,
        (MICROSOFT, "DynamicQuantizeMatMul") => products::dynamic_matmul,
        (MICROSOFT, "MatMulIntegerToFloat") => products::matmul_to_float,
        (MICROSOFT, "QLinearAdd" | "QLinearMul") => quantised::of_two,
        (MICROSOFT, "QLinearConcat") => quantised::concat,
        (
            MICROSOFT,
            "QLinearSigmoid"
            | "QLinearLeakyRelu"
            | "QLinearAveragePool"
            | "QLinearGlobalAveragePool",
        ) => quantised::of_one,
        _ => return None,
    })
}

impl Model {
    /// The network with ONNX's own operators in place of those that only some engines have.
    pub(super) fn in_own_operators(self) -> Model {
        let Some((proto, parts)) = expanded(self.proto()) else { return self };
        let mut model = self.clone();
        model.replace_proto(proto);
        let known = |(part, whole): (String, String)| Some((part, self.exported(&whole)?.clone()));
        let mut exported = (*self.exported).clone();
        exported.extend(parts.into_iter().filter_map(known));
        model.exported = Arc::new(exported);
        model.written = Some(Arc::new(self));
        model
    }

    /// The network as its file has it, for engines that have more than ONNX's own operators.
    pub fn as_written(&self) -> &Model {
        self.written.as_deref().unwrap_or(self)
    }

    /// The operators of the file that were replaced by ONNX's own, outside subgraphs, with their numbers.
    pub fn replaced(&self) -> BTreeMap<String, usize> {
        let key = |node: Node<'_>| (node.op_type.to_owned(), node.label().to_owned());
        let left: BTreeSet<(String, String)> = self.nodes().map(key).collect();
        let mut replaced = BTreeMap::new();
        for node in self.as_written().nodes() {
            if !left.contains(&key(node)) {
                *replaced.entry(node.op_type.to_owned()).or_default() += 1;
            }
        }
        replaced
    }

    /// Whether some operators of the file were replaced by ONNX's own.
    pub fn is_expanded(&self) -> bool {
        self.written.is_some()
    }
}

/// The network in ONNX's own operators, and for each new node the node that it replaces a part of. `None` if there is
/// nothing to replace.
pub(super) fn expanded(model: &ModelProto) -> Option<(ModelProto, BTreeMap<String, String>)> {
    let graph = model.graph.as_ref()?;
    let is_own = |domain: &str| domain.is_empty() || domain == "ai.onnx";
    let version = model.opset_import.iter().find(|set| is_own(&set.domain))?.version;
    let functions = Functions::of(&model.functions, version);
    if version < OLDEST || !needs_expansion(graph, &functions) {
        return None;
    }
    let mut pass =
        Pass { functions, version, taken: names(graph), parts: BTreeMap::new(), added: 0 };
    let mut whole = graph.clone();
    for _ in 0..DEEPEST {
        if !pass.expand(&mut whole) {
            break;
        }
    }
    let mut proto = model.clone();
    proto.graph = Some(whole);
    (!pass.parts.is_empty()).then_some((proto, pass.parts))
}

/// Whether some node may have a definition: almost no network does.
fn needs_expansion(graph: &GraphProto, functions: &Functions<'_>) -> bool {
    graph.node.iter().any(|node| {
        definition(&node.domain, &node.op_type).is_some()
            || functions.get(node).is_some()
            || subgraphs(node).any(|inner| needs_expansion(inner, functions))
    })
}

/// All names of nodes and values, inside subgraphs too.
fn names(graph: &GraphProto) -> BTreeSet<String> {
    let own = graph.node.iter().flat_map(|node| node.output.iter().chain([&node.name]));
    let mut names: BTreeSet<String> = own.cloned().collect();
    names.extend(graph.initializer.iter().map(|tensor| tensor.name.clone()));
    names.extend(graph.input.iter().map(|input| input.name.clone()));
    for inner in graph.node.iter().flat_map(subgraphs) {
        names.extend(self::names(inner));
    }
    names
}

struct Pass<'a> {
    functions: Functions<'a>,
    version: i64,
    taken: BTreeSet<String>,
    /// The replaced node of each new node.
    parts: BTreeMap<String, String>,
    /// How many nodes are new.
    added: usize,
}

impl Pass<'_> {
    /// Replaces what can be replaced once; whether anything was.
    fn expand(&mut self, graph: &mut GraphProto) -> bool {
        let mut changed = false;
        let (mut nodes, mut constants) = (Vec::with_capacity(graph.node.len()), Vec::new());
        let surroundings = Surroundings::of(graph, self.version);
        for node in &graph.node {
            match self.replacement(node, &surroundings) {
                Some((new, tensors)) => {
                    changed = true;
                    nodes.extend(new);
                    constants.extend(tensors);
                }
                // What is new waits for the next pass, so functions in bodies of functions end, too.
                None => {
                    let mut node = node.clone();
                    let attributes = node.attribute.iter_mut();
                    for inner in attributes.flat_map(|a| a.g.iter_mut().chain(&mut a.graphs)) {
                        changed |= self.expand(inner);
                    }
                    nodes.push(node);
                }
            }
        }
        graph.node = nodes;
        graph.initializer.extend(constants);
        changed
    }

    fn replacement(
        &mut self,
        node: &NodeProto,
        surroundings: &Surroundings<'_>,
    ) -> Option<(Vec<NodeProto>, Vec<TensorProto>)> {
        if self.added > MOST_NODES {
            return None;
        }
        let prefix = self.prefix(node);
        let (nodes, constants) = match self.functions.get(node) {
            Some(function) => (inlined(function, node, &prefix), Vec::new()),
            None => {
                let build = definition(&node.domain, &node.op_type)?;
                let mut piece = Replacement::new(node, prefix.clone(), surroundings);
                build(&mut piece)?;
                (piece.nodes, piece.constants)
            }
        };
        self.added += nodes.len();
        self.taken.insert(format!("{prefix}/"));
        // A function that a function calls is a part of the file's node.
        let whole = self.parts.remove(&node.name).unwrap_or(prefix);
        self.parts.extend(nodes.iter().map(|node| (node.name.clone(), whole.clone())));
        Some((nodes, constants))
    }

    /// The node's name or, if it has none, its first output's. Nothing else in the file starts with it and a slash.
    fn prefix(&self, node: &NodeProto) -> String {
        let named = [&node.name].into_iter().chain(&node.output).find(|name| !name.is_empty());
        let mut prefix = named.unwrap_or(&node.op_type).clone();
        let is_taken = |prefix: &str| {
            let start = format!("{prefix}/");
            self.taken.range(start.clone()..).next().is_some_and(|name| name.starts_with(&start))
        };
        while is_taken(&prefix) {
            prefix.push('_');
        }
        prefix
    }
}

/// What a graph says about its values.
struct Surroundings<'a> {
    types: ElementTypes<'a>,
    declared: BTreeMap<&'a str, &'a ValueInfoProto>,
    stored: BTreeMap<&'a str, &'a TensorProto>,
    version: i64,
}

impl<'a> Surroundings<'a> {
    fn of(graph: &'a GraphProto, version: i64) -> Self {
        let declared = graph.value_info.iter().chain(&graph.input).chain(&graph.output);
        let declared = declared.map(|value| (value.name.as_str(), value)).collect();
        let stored =
            graph.initializer.iter().map(|tensor| (tensor.name.as_str(), tensor)).collect();
        Surroundings { types: ElementTypes::of(graph), declared, stored, version }
    }
}

impl ValueFacts for Surroundings<'_> {
    fn element(&self, value: &str) -> Option<i32> {
        self.types.known(value)
    }

    fn extents(&self, value: &str) -> Option<Vec<Option<i64>>> {
        let sane = |extent: &i64| (0..=MOST).contains(extent);
        if let Some(tensor) = self.stored.get(value) {
            return Some(tensor.dims.iter().map(|extent| Some(*extent).filter(sane)).collect());
        }
        let shape = ValueInfo::read(self.declared.get(value)?).ok()?.shape?;
        let known = |dim: &Dim| match dim {
            Dim::Known(extent) => i64::try_from(*extent).ok().filter(sane),
            Dim::Symbol(_) => None,
        };
        Some(shape.iter().map(known).collect())
    }

    fn is_same_extent(&self, values: [&str; 2], axis: usize) -> bool {
        let dim = |value: &str| {
            let shape = ValueInfo::read(self.declared.get(value)?).ok()?.shape?;
            shape.get(axis).filter(|dim| dim.to_string() != "?").cloned()
        };
        let [one, other] = values.map(dim);
        one.is_some() && one == other
    }

    fn opset(&self) -> i64 {
        self.version
    }
}
