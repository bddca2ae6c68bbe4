//! A copy of a network with notes on its nodes, for viewers such as Netron.

use super::Model;
use super::zeros::encoded;
use std::collections::BTreeMap;

impl Model {
    /// The file with a note on each node that has one, by the nodes' labels. A viewer shows it as the node's
    /// description. The network computes as before.
    pub fn annotated(&self, notes: &BTreeMap<String, String>) -> Vec<u8> {
        let mut proto = self.proto().clone();
        let labels: Vec<String> = self.nodes().map(|node| node.label().to_owned()).collect();
        let nodes = proto.graph.iter_mut().flat_map(|graph| &mut graph.node);
        for (node, label) in nodes.zip(labels) {
            if let Some(note) = notes.get(&label) {
                node.doc_string = note.clone();
            }
        }
        encoded(&proto)
    }
}
