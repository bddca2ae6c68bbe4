//! A network with resolved shapes, and one tensor for each input.

use super::Failure;
use crate::decode::{Interface, read_prompt};
use crate::graph::{Model, ValueName};
use crate::inputs::{Feed, Normalization, draw, parse_inputs, shapes_given, shapes_of};
use crate::tensor::Tensor;
use std::collections::BTreeMap;

/// The prompt of a decoder about which the user says nothing: as many tokens as a short question has.
pub const PROMPT: &str = "random:8";

/// How the inputs of a network are made.
#[derive(Debug, Clone, Default)]
pub struct Feeding {
    /// Specs as on the command line: `NAME=SPEC`, or one spec for all inputs.
    pub specs: Vec<String>,
    /// Shapes that replace those of the files and of the network.
    pub shapes: BTreeMap<ValueName, Vec<usize>>,
    /// The mean and the scale of pictures.
    pub normalization: Normalization,
    /// Tensors for inputs without a spec.
    pub given: BTreeMap<ValueName, Tensor>,
}

impl Feeding {
    /// The feeds of a network. Shapes come from the user, otherwise from the input files.
    ///
    /// # Errors
    /// If a spec or a file does not fit the network.
    pub fn feed(&self, mut model: Model) -> Result<(Model, Vec<Feed>), Failure> {
        if let Some(prompted) = self.prompt(&model) {
            return prompted;
        }
        let specs = parse_inputs(&self.specs, model.inputs(), &self.normalization)?;
        let mut shapes = shapes_given(&specs, model.inputs());
        let is_input = |name: &ValueName| model.inputs().iter().any(|input| input.name == *name);
        let given: BTreeMap<_, _> = self
            .given
            .iter()
            .filter(|(name, _)| is_input(name) && !specs.contains_key(*name))
            .collect();
        let of_given =
            given.iter().map(|(name, tensor)| ((*name).clone(), tensor.shape().to_vec()));
        shapes.extend(of_given);
        shapes.extend(self.shapes.clone());
        model.fix_shapes(&shapes)?;
        let mut feeds = draw(&model, &specs)?;
        for feed in &mut feeds {
            let same =
                given.get(&feed.name).and_then(|given| given.exactly(feed.tensor.dtype()).ok());
            if let Some(tensor) = same {
                *feed = Feed::new(feed.name.clone(), "given", tensor);
            }
        }
        Ok((model, feeds))
    }

    /// A decoder about which the user says nothing is fed a prompt without a state.
    fn prompt(&self, model: &Model) -> Option<Result<(Model, Vec<Feed>), Failure>> {
        let is_left = self.specs.is_empty() && self.shapes.is_empty() && self.given.is_empty();
        if !is_left || model.resolved_inputs().is_ok() {
            return None;
        }
        let interface = Interface::of(model, &[]).ok().filter(Interface::has_state)?;
        let tokens = match read_prompt(PROMPT, interface.vocabulary) {
            Ok(prompt) => prompt.0,
            Err(error) => return Some(Err(error.into())),
        };
        let feeds = interface.feeds(model, &tokens, 0, &interface.first_state());
        let mut model = model.clone();
        let fixed = model.fix_shapes(&shapes_of(&feeds));
        Some(fixed.map_err(Failure::from).map(|()| (model, feeds)))
    }
}
