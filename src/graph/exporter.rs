//! Where a node comes from in the framework: what PyTorch's exporter writes into the metadata of each node.
//!
//! tract's form of the file has no metadata of nodes, so the file is decoded a second time, without anything else.

use prost::Message;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The module and the source line that became a node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct Exported {
    /// The module's path in the network, such as `layers.0.norm`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub module: Option<String>,
    /// The module's class, such as `LayerNorm`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// The file and line outside PyTorch that called the operation, such as `~/model.py:12`. Home folders are `~`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<String>,
}

impl Exported {
    /// The origin in words: "module `layers.0.norm` (LayerNorm), line `~/model.py:12`".
    pub fn words(&self) -> String {
        let class = self.class.as_ref().map(|class| format!(" ({class})")).unwrap_or_default();
        let module = self.module.as_ref().map(|module| format!("module `{module}`{class}"));
        let line = self.line.as_ref().map(|line| format!("line `{line}`"));
        module.into_iter().chain(line).collect::<Vec<_>>().join(", ")
    }
}

#[derive(Clone, PartialEq, Message)]
struct ModelOutline {
    #[prost(message, optional, tag = "7")]
    graph: Option<GraphOutline>,
}

#[derive(Clone, PartialEq, Message)]
struct GraphOutline {
    #[prost(message, repeated, tag = "1")]
    node: Vec<NodeOutline>,
}

#[derive(Clone, PartialEq, Message)]
struct NodeOutline {
    #[prost(string, repeated, tag = "2")]
    output: Vec<String>,
    #[prost(string, tag = "3")]
    name: String,
    #[prost(message, repeated, tag = "9")]
    metadata: Vec<Entry>,
}

#[derive(Clone, PartialEq, Message)]
struct Entry {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(string, tag = "2")]
    value: String,
}

/// The origins of a file's nodes by the nodes' labels. Nodes without metadata are left out.
pub(super) fn exported(file: &[u8]) -> BTreeMap<String, Exported> {
    let graph = ModelOutline::decode(file).ok().and_then(|model| model.graph).unwrap_or_default();
    let origin = |node: NodeOutline| {
        let found = origin(&node.metadata);
        let label = match node.name.is_empty() {
            true => node.output.into_iter().next()?,
            false => node.name,
        };
        (found != Exported::default()).then_some((label, found))
    };
    graph.node.into_iter().filter_map(origin).collect()
}

fn origin(metadata: &[Entry]) -> Exported {
    let value = |name: &str| {
        let key = format!("pkg.torch.onnx.{name}");
        metadata.iter().find(|entry| entry.key == key).map(|entry| entry.value.as_str())
    };
    // The last entry of both lists is the operation itself, and the one before it is its module.
    let module = |list: &str| quoted(list).into_iter().rev().nth(1).filter(|name| !name.is_empty());
    let class = |list| module(list).and_then(|class| Some(class.rsplit('.').next()?.to_owned()));
    Exported {
        module: value("name_scopes").and_then(module),
        class: value("class_hierarchy").and_then(class),
        line: value("stack_trace").and_then(line),
    }
}

/// The texts of a list as Python prints it: `['', 'layers.0']`.
fn quoted(list: &str) -> Vec<String> {
    let mut texts = Vec::new();
    let mut rest = list;
    while let Some(at) = rest.find(['\'', '"']) {
        let quote = &rest[at..=at];
        let Some((text, after)) = rest[at + 1..].split_once(quote) else { break };
        texts.push(text.to_owned());
        rest = after;
    }
    texts
}

/// The last call of a trace that is not inside an installed package: `File "PATH", line 12, in forward`.
fn line(trace: &str) -> Option<String> {
    let mut calls = trace.lines().filter_map(|line| {
        let (path, rest) = line.trim().strip_prefix("File \"")?.split_once("\", line ")?;
        let number = rest.split(',').next()?.trim().parse::<u64>().ok()?;
        let is_installed =
            ["site-packages", "dist-packages"].iter().any(|name| path.contains(name));
        (!is_installed).then(|| format!("{}:{number}", without_homes(path)))
    });
    calls.next_back()
}

/// The path with `~` for anybody's home folder: the file comes from another machine.
fn without_homes(path: &str) -> String {
    let path = path.replace('\\', "/");
    let parts: Vec<&str> = path.split('/').collect();
    match parts.as_slice() {
        ["", "root", rest @ ..] | [_, "home" | "Users", _, rest @ ..] => {
            format!("~/{}", rest.join("/"))
        }
        _ => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, value: &str) -> Entry {
        Entry { key: format!("pkg.torch.onnx.{name}"), value: value.into() }
    }

    #[test]
    fn module_class_and_line_are_found() {
        let node = NodeOutline {
            output: vec!["y".into()],
            name: String::new(),
            metadata: vec![
                entry("name_scopes", "['', 'layers.0', 'layers.0.norm', 'layer_norm']"),
                entry(
                    "class_hierarchy",
                    "['m.Net', 'm.Block', 'torch.nn.modules.normalization.LayerNorm', 'aten.layer_norm.default']",
                ),
                entry(
                    "stack_trace",
                    "File \"/home/ada/net/model.py\", line 12, in forward\n    x = self.norm(x)\nFile \"/usr/lib/python3/dist-packages/torch/nn/modules/normalization.py\", line 217, in forward\n    return F.layer_norm(",
                ),
            ],
        };
        let model = ModelOutline { graph: Some(GraphOutline { node: vec![node] }) };
        let found = exported(&model.encode_to_vec());
        let words = found["y"].words();
        assert_eq!(words, "module `layers.0.norm` (LayerNorm), line `~/net/model.py:12`");
        assert!(exported(b"\xff").is_empty());
    }

    #[test]
    fn homes_of_other_machines_are_left_out() {
        for path in ["/home/ada/x.py", "/Users/ada/x.py", "C:\\Users\\ada\\x.py"] {
            assert_eq!(without_homes(path), "~/x.py");
        }
        assert_eq!(without_homes("/srv/home/x.py"), "/srv/home/x.py");
    }
}
