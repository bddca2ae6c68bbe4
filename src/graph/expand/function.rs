//! Functions that a file defines itself: their nodes take the place of a node that calls them.

use super::super::wiring::subgraphs;
use std::collections::{BTreeMap, BTreeSet};
use tract_onnx::pb::{AttributeProto, FunctionProto, GraphProto, NodeProto};

/// The nodes of a function in the place of a node, with the node's values and attributes in them.
pub(super) fn inlined(function: &FunctionProto, call: &NodeProto, prefix: &str) -> Vec<NodeProto> {
    // An input that the call leaves out has no name in the body.
    let given = call.input.iter().cloned().chain(std::iter::repeat(String::new()));
    let mut names: BTreeMap<String, String> = function.input.iter().cloned().zip(given).collect();
    // An output of the function may be one of its inputs; the caller adds an Identity for it.
    for (inner, outer) in function.output.iter().zip(&call.output) {
        if !outer.is_empty() && !names.contains_key(inner) {
            names.insert(inner.clone(), outer.clone());
        }
    }
    let body = Body { prefix, call, names };
    let mut nodes: Vec<NodeProto> =
        function.node.iter().enumerate().map(|(at, node)| body.node(node, at)).collect();
    let passed = function
        .output
        .iter()
        .zip(&call.output)
        .filter(|(inner, outer)| !outer.is_empty() && function.input.contains(inner));
    nodes.extend(passed.map(|(inner, outer)| NodeProto {
        name: format!("{prefix}/{inner}"),
        op_type: "Identity".to_owned(),
        input: vec![body.name(inner)],
        output: vec![outer.clone()],
        ..NodeProto::default()
    }));
    nodes
}

struct Body<'a> {
    prefix: &'a str,
    call: &'a NodeProto,
    /// The names outside of the function's inputs and outputs.
    names: BTreeMap<String, String>,
}

impl Body<'_> {
    fn name(&self, inner: &str) -> String {
        match self.names.get(inner) {
            _ if inner.is_empty() => String::new(),
            Some(outer) => outer.clone(),
            None => format!("{}/{inner}", self.prefix),
        }
    }

    fn node(&self, node: &NodeProto, at: usize) -> NodeProto {
        let label =
            if node.name.is_empty() { format!("{}_{at}", node.op_type) } else { node.name.clone() };
        NodeProto { name: format!("{}/{label}", self.prefix), ..self.renamed(node) }
    }

    fn renamed(&self, node: &NodeProto) -> NodeProto {
        let names = |names: &[String]| names.iter().map(|name| self.name(name)).collect();
        NodeProto {
            input: names(&node.input),
            output: names(&node.output),
            attribute: node
                .attribute
                .iter()
                .filter_map(|attribute| self.attribute(attribute))
                .collect(),
            ..node.clone()
        }
    }

    /// An attribute of the call, if the function's attribute names it. An attribute that the call leaves out is left
    /// out here too.
    fn attribute(&self, attribute: &AttributeProto) -> Option<AttributeProto> {
        if attribute.ref_attr_name.is_empty() {
            let mut attribute = attribute.clone();
            let graphs = attribute.g.iter_mut().chain(&mut attribute.graphs);
            graphs.for_each(|graph| self.rename_graph(graph));
            return Some(attribute);
        }
        let given =
            self.call.attribute.iter().find(|given| given.name == attribute.ref_attr_name)?;
        Some(AttributeProto { name: attribute.name.clone(), ..given.clone() })
    }

    fn rename_graph(&self, graph: &mut GraphProto) {
        graph.node = graph.node.iter().map(|node| self.renamed(node)).collect();
        for value in graph.input.iter_mut().chain(&mut graph.output).chain(&mut graph.value_info) {
            value.name = self.name(&value.name);
        }
        for tensor in &mut graph.initializer {
            tensor.name = self.name(&tensor.name);
        }
    }
}

/// The attributes of a call that a node of a function asks for, in its bodies, too.
fn references(node: &NodeProto) -> Vec<&String> {
    let own = node.attribute.iter().map(|attribute| &attribute.ref_attr_name);
    let inner = subgraphs(node).flat_map(|graph| &graph.node).flat_map(references);
    own.filter(|name| !name.is_empty()).chain(inner).collect()
}

/// The domain and the name of a function.
fn key(function: &FunctionProto) -> (&str, &str) {
    (function.domain.as_deref().unwrap_or(""), function.name.as_deref().unwrap_or(""))
}

/// The domains and names of the operators of nodes, in their bodies, too.
fn called(nodes: &[NodeProto]) -> Vec<(&str, &str)> {
    let mut found = Vec::new();
    for node in nodes {
        found.push((node.domain.as_str(), node.op_type.as_str()));
        subgraphs(node).for_each(|graph| found.extend(called(&graph.node)));
    }
    found
}

/// The functions of a file, by domain and name.
pub(super) struct Functions<'a>(BTreeMap<(&'a str, &'a str), &'a FunctionProto>);

impl<'a> Functions<'a> {
    /// Functions that use another version of ONNX's operators than the file cannot be inlined. Neither can functions
    /// that call themselves, which ONNX forbids.
    pub(super) fn of(functions: &'a [FunctionProto], opset: i64) -> Self {
        let is_own = |domain: &str| domain.is_empty() || domain == "ai.onnx";
        let fits = |function: &&FunctionProto| {
            function.opset_import.iter().all(|set| !is_own(&set.domain) || set.version == opset)
        };
        let named = functions.iter().filter(fits).map(|function| (key(function), function));
        let all: BTreeMap<(&str, &str), &FunctionProto> = named.collect();
        let ends = |function: &FunctionProto| {
            let (mut seen, mut open) = (BTreeSet::new(), called(&function.node));
            while let Some(next) = open.pop() {
                if let Some(inner) = all.get(&next).filter(|_| seen.insert(next)) {
                    open.extend(called(&inner.node));
                }
            }
            !seen.contains(&key(function))
        };
        let ending = all.iter().filter(|(_, function)| ends(function));
        Functions(ending.map(|(key, function)| (*key, *function)).collect())
    }

    pub(super) fn get(&self, node: &NodeProto) -> Option<&'a FunctionProto> {
        let function = self.0.get(&(node.domain.as_str(), node.op_type.as_str()))?;
        // A graph among a call's attributes would keep the call's names. The default of an attribute is not known here.
        let is_given = |name: &String| node.attribute.iter().any(|given| given.name == *name);
        let mut named = function.node.iter().flat_map(references);
        let is_known = named.all(|name| is_given(name) || function.attribute.contains(name));
        (is_known && subgraphs(node).next().is_none()).then_some(*function)
    }
}
