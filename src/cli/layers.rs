//! `--layers`: only some layers of the network, fed with the reference's values.

use super::cut::{AskedReference, truncate};
use super::place::read_reference;
use super::prepare::Prepared;
use crate::graph::{LayerEnds, LayerRange, Model, Topology};
use crate::session::Failure;
use std::time::Duration;

impl Prepared<'_> {
    /// The same for the part of the network that these layers are.
    pub(super) fn only(mut self, range: &LayerRange) -> Result<Self, Failure> {
        let LayerEnds { mut from, to } =
            self.model.ends_of_layers(range).ok_or_else(|| no_layers(&self.model))?;
        let topology = Topology::of(&self.model);
        let shapes = topology.shape_values();
        from.retain(|name| topology.is_computed(name) && !shapes.contains(name));
        let target = read_reference(&self.args.reference, &self.args.place)?;
        let deadline = Duration::from_secs(self.args.timeout);
        let reference = AskedReference { registry: &self.registry, target: &target, deadline };
        let (model, feeds) = truncate(reference, &self.model, &to, &from, self.feeds.clone())?;
        (self.model, self.feeds) = (model, feeds);
        Ok(self)
    }
}

fn no_layers(model: &Model) -> Failure {
    let layers = model.layers();
    let hint = match (layers.first(), layers.last()) {
        (Some(first), Some(last)) => format!("its layers are {first}..{last}"),
        _ => "no node's name has the number of a layer, as in /layers.2/MatMul: cut the network with `offby cut`".into(),
    };
    Failure::new("walk these layers: no node is in them", hint)
}
