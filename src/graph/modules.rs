//! The modules of a network, as the exporter wrote them into its nodes.

use super::{Exported, Model};
use std::collections::BTreeMap;

impl Model {
    /// Where a node comes from in the framework, by its label.
    pub fn exported(&self, label: &str) -> Option<&Exported> {
        self.exported.get(label)
    }

    /// The value that each module returns: the first output of the module's last node. A module whose nodes do not
    /// follow each other runs several times, and is left out.
    pub fn values_of_modules(&self) -> BTreeMap<String, String> {
        let mut runs: BTreeMap<&str, Run> = BTreeMap::new();
        for node in self.nodes().filter(|node| !node.outputs.is_empty()) {
            let module = self.exported(node.label()).and_then(|origin| origin.module.as_deref());
            for module in module.into_iter().flat_map(with_parents) {
                let value = &node.outputs[0];
                runs.entry(module).and_modify(|run| run.go_on(node.index, value)).or_insert(Run {
                    last: node.index,
                    value,
                    broken: false,
                });
            }
        }
        let whole = runs.into_iter().filter(|(_, run)| !run.broken);
        whole.map(|(module, run)| (module.to_owned(), run.value.to_owned())).collect()
    }
}

/// The nodes of a module.
struct Run<'m> {
    last: usize,
    value: &'m str,
    /// Whether there are other nodes in between.
    broken: bool,
}

impl<'m> Run<'m> {
    fn go_on(&mut self, index: usize, value: &'m str) {
        self.broken |= index != self.last + 1;
        (self.last, self.value) = (index, value);
    }
}

/// `a.b.c`, `a.b` and `a`.
fn with_parents(module: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(module), |module| Some(module.rsplit_once('.')?.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Network;
    use crate::tensor::Dtype::F32;

    #[test]
    fn a_module_returns_the_value_of_its_last_node() {
        let names = ["a", "b", "c", "d", "e"];
        let network = names.windows(2).fold(Network::new("n").input("a", F32, &[1]), |n, pair| {
            n.node(pair[1], "Relu", &[pair[0]], &[pair[1]], &[])
        });
        let mut model = network.output("e", F32, &[1]).finish().unwrap();
        // `l.0` runs in one piece, `l.1` runs twice.
        let modules = [("b", "l.0.x"), ("c", "l.0"), ("d", "l.1"), ("e", "l.0.y")];
        let origin = |module: &str| Exported { module: Some(module.into()), ..Exported::default() };
        let of = |modules: &[(&str, &str)]| {
            let named = modules.iter().map(|(node, module)| ((*node).to_owned(), origin(module)));
            std::sync::Arc::new(named.collect())
        };
        model.exported = of(&modules[..3]);
        let text = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
        };
        let whole = [("l", "d"), ("l.0", "c"), ("l.0.x", "b"), ("l.1", "d")];
        assert_eq!(model.values_of_modules(), text(&whole));
        model.exported = of(&modules);
        let but = [("l", "e"), ("l.0.x", "b"), ("l.0.y", "e"), ("l.1", "d")];
        assert_eq!(model.values_of_modules(), text(&but));
    }
}
