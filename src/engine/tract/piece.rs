//! Builds a separate model from several nodes of a network, fed with the reference's values.

use super::steps::{NodeSteps, fed};
use crate::graph::{Boundary, Cut, Model};
use crate::inputs::Feed;
use crate::tensor::Tensor;
use std::collections::{BTreeMap, BTreeSet};

/// The values of one run of the reference, by name.
pub type Values = BTreeMap<String, Tensor>;

impl NodeSteps {
    /// The values that these steps read from other steps or from the feeds.
    pub fn values_into(&self, steps: &BTreeSet<usize>) -> BTreeSet<String> {
        let inside: BTreeSet<&String> = steps.iter().flat_map(|&step| self.writes(step)).collect();
        let reads = steps.iter().flat_map(|&step| self.reads(step));
        let crosses =
            |name: &&String| !name.is_empty() && !inside.contains(name) && !self.is_constant(name);
        reads.filter(crosses).cloned().collect()
    }

    /// The values that these steps write for other steps or for the network's outputs.
    pub fn values_out_of(&self, steps: &BTreeSet<usize>) -> BTreeSet<String> {
        let readers = |name: &String| self.readers.get(name).into_iter().flatten();
        let crosses = |name: &&String| readers(name).any(|reader| !steps.contains(reader));
        steps.iter().flat_map(|&step| self.writes(step)).filter(crosses).cloned().collect()
    }

    /// Runs the reference up to the last step that writes a wanted value, and returns the wanted values.
    ///
    /// # Errors
    /// Fails if the reference refuses a node.
    pub fn capture(&mut self, feeds: &[Feed], wanted: &BTreeSet<String>) -> Result<Values, String> {
        self.start(feeds)?;
        let fed = self.values().iter().filter(|(name, _)| wanted.contains(*name));
        let mut kept: Values = fed.map(|(name, tensor)| (name.clone(), tensor.clone())).collect();
        let last = wanted.iter().filter_map(|name| self.step_of(name)).max();
        for step in 0..last.map_or(0, |last| last + 1) {
            let inputs = self.inputs(step)?;
            let outputs = self.compute(step, &inputs, &Tensor::clone)?;
            self.store(step, &outputs);
            let written = self.writes(step).iter().cloned().zip(outputs);
            kept.extend(written.filter(|(name, _)| wanted.contains(name)));
            self.forget(step);
        }
        Ok(kept)
    }

    /// The same for every value that the steps write.
    ///
    /// # Errors
    /// Fails if the reference refuses a node.
    pub fn capture_all(&mut self, feeds: &[Feed]) -> Result<Values, String> {
        let all = (0..self.len()).flat_map(|step| self.writes(step).to_vec()).collect();
        self.capture(feeds, &all)
    }

    /// Element type and shape of every value that the steps write, in the order of evaluation.
    ///
    /// # Errors
    /// Fails if the reference refuses a node.
    pub fn boundaries(&mut self, feeds: &[Feed]) -> Result<Vec<Boundary>, String> {
        self.start(feeds)?;
        let mut found = Vec::new();
        for step in 0..self.len() {
            self.advance(step, &Tensor::clone)?;
            let written = self.writes(step).iter();
            found.extend(
                written.filter_map(|name| Some(Boundary::of(name.as_str(), self.value(name)?))),
            );
        }
        Ok(found)
    }

    /// The model of these steps, and its feeds. `values` contains the inputs and outputs of the steps.
    ///
    /// Integers become constants unless they are inputs of the network: they are shapes, axes and indices.
    ///
    /// # Errors
    /// Fails if a value is missing, or if no network is left.
    pub fn piece(
        &self,
        steps: &BTreeSet<usize>,
        values: &Values,
    ) -> Result<(Model, Vec<Feed>), String> {
        let known = |name: &String| {
            let tensor = values.get(name).ok_or_else(|| format!("{name} was not computed"))?;
            Ok::<_, String>((name.clone(), tensor))
        };
        let into = self.values_into(steps).iter().map(known).collect::<Result<Vec<_>, _>>()?;
        let out = self.values_out_of(steps).iter().map(known).collect::<Result<Vec<_>, _>>()?;
        let is_input =
            |name: &String| self.model.inputs().iter().any(|input| input.name.as_str() == name);
        let (inputs, constants): (Vec<_>, Vec<_>) = into
            .into_iter()
            .partition(|(name, tensor)| tensor.dtype().is_float() || is_input(name));
        let boundary = |(name, tensor): &(String, &Tensor)| Boundary::of(name.as_str(), tensor);
        let outputs: Vec<Boundary> = out.iter().map(boundary).collect();
        let constant = |(name, tensor): (String, &Tensor)| (name.into(), tensor.clone());
        let mut model = self
            .model
            .cut(&Cut {
                to: outputs.iter().map(|output| output.name.clone()).collect(),
                from: inputs.iter().map(boundary).collect(),
                constants: constants.into_iter().map(constant).collect(),
            })
            .map_err(|error| error.to_string())?;
        model.declare(&outputs);
        Ok((model, inputs.iter().map(|(name, tensor)| fed(name, tensor)).collect()))
    }
}
