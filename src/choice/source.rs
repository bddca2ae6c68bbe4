//! Fetches the values behind choices: from the feeds, the file, or one more run of the reference with these
//! values as outputs.

use super::chooser::Chooser;
use super::fed::Fed;
use super::{Choice, look};
use crate::compare::Judging;
use crate::engine::{Engine, Outcome, Request};
use crate::graph::{Cut, Model, ValueName};
use crate::inputs::Feed;
use crate::tensor::Tensor;
use std::cell::RefCell;
use std::collections::BTreeMap;

/// The reference and its request, for asking the reference for more values.
pub struct ReferenceSource<'a> {
    request: Request<'a>,
    reference: Box<dyn Engine + 'a>,
    /// The values behind each output's choices, so each further target costs no further run.
    known: RefCell<BTreeMap<ValueName, Option<Known>>>,
}

/// A chooser, and its inputs: `None` for an omitted input.
type Known = (Chooser, Vec<Option<Fed>>);

impl<'a> ReferenceSource<'a> {
    /// Creates the source. The reference runs again only when a choice is looked at.
    pub fn new(request: Request<'a>, reference: Box<dyn Engine + 'a>) -> Self {
        ReferenceSource { request, reference, known: RefCell::default() }
    }

    /// The network.
    pub fn model(&self) -> &'a Model {
        self.request.model
    }

    /// How near an output's choices were, if they differ from the reference's. `None` if the output is no
    /// choice, or if the reference cannot compute the values behind it.
    pub fn look(
        &self,
        output: &ValueName,
        pair: [&Tensor; 2],
        judging: impl Fn(&Tensor) -> Judging,
    ) -> Option<Choice> {
        let mut known = self.known.borrow_mut();
        let known = known.entry(output.clone()).or_insert_with(|| self.learn(output));
        let (chooser, fed) = known.as_ref()?;
        look(chooser, fed, pair, judging)
    }

    fn learn(&self, output: &ValueName) -> Option<Known> {
        let chooser = Chooser::of(self.request.model, output)?;
        let given: BTreeMap<&ValueName, Tensor> =
            chooser.inputs.iter().filter_map(|name| Some((name, self.given(name)?))).collect();
        let is_computed =
            |name: &&ValueName| !name.as_str().is_empty() && !given.contains_key(*name);
        let mut missing: Vec<ValueName> =
            chooser.inputs.iter().filter(is_computed).cloned().collect();
        missing.sort();
        missing.dedup();
        let computed = self.compute(missing)?;
        let fed = |name: &ValueName| {
            let tensor = given.get(name).or(computed.get(name)).cloned()?;
            Some(Fed { tensor, is_computed: computed.contains_key(name) })
        };
        let fed = chooser.inputs.iter().map(fed).collect();
        Some((chooser, fed))
    }

    /// A value that is fed or that the file contains.
    fn given(&self, name: &ValueName) -> Option<Tensor> {
        let feed = self.request.feeds.iter().find(|feed| feed.name == *name);
        feed.map(|feed| feed.tensor.clone())
            .or_else(|| self.request.model.constant(name).ok().flatten())
    }

    /// The reference's values, from a network with these values as outputs.
    fn compute(&self, values: Vec<ValueName>) -> Option<BTreeMap<ValueName, Tensor>> {
        if values.is_empty() {
            return Some(BTreeMap::new());
        }
        let model = self.request.model.cut(&Cut { to: values, ..Cut::default() }).ok()?;
        let feeds = feeds_of(&model, self.request.feeds);
        let request = Request { model: &model, feeds: &feeds, repeats: 1, ..self.request };
        let execution = self.reference.execute(&request);
        let outputs = execution.outputs.into_iter().map(|output| (output.name, output.tensor));
        (execution.outcome == Outcome::Completed).then(|| outputs.collect())
    }
}

/// The feeds that a part of the network still needs.
fn feeds_of(model: &Model, feeds: &[Feed]) -> Vec<Feed> {
    let needed = |feed: &&Feed| model.inputs().iter().any(|input| input.name == feed.name);
    feeds.iter().filter(needed).cloned().collect()
}
