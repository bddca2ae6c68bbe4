//! Decoders in a matrix: with `--steps`, a cell decodes so many tokens and says at which one its target parts.

use super::decode_document::document;
use super::matrix_from::public;
use crate::decode::{Decode, DecodeLane, Interface, read_prompt};
use crate::engine::Target;
use crate::graph::{Model, ValueName};
use crate::matrix::{Cell, RowInput};
use crate::session::{Decoder, Failure, PROMPT, Registry, Settings};
use crate::tensor::{Digest, Dtype};
use crate::verdict::News;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A decoder, its prompt, and how many tokens follow.
pub(super) struct PromptedDecoder {
    path: PathBuf,
    interface: Interface,
    prompt: Vec<i64>,
    steps: usize,
}

/// The engines of a cell.
pub(super) struct CellEngines<'a> {
    pub(super) registry: &'a Registry,
    pub(super) reference: &'a Target,
    /// The longest that one step may take.
    pub(super) deadline: Duration,
    /// The targets of the command. They are referees, too.
    pub(super) targets: Vec<Target>,
}

impl PromptedDecoder {
    /// Reads a decoder. `None` if the user asks for no steps, or if the network is no decoder.
    pub(super) fn read(
        path: &Path,
        steps: Option<usize>,
    ) -> Result<Option<(Self, Model)>, Failure> {
        let Some(steps) = steps else { return Ok(None) };
        let model = Model::load(path)?;
        let interface = Interface::of(&model, &[]).ok();
        let Some(interface) = interface.filter(|found| is_decoder(&model, found)) else {
            return Ok(None);
        };
        let prompt = read_prompt(PROMPT, interface.vocabulary)?.0;
        let path = path.to_owned();
        Ok(Some((PromptedDecoder { path, interface, prompt, steps }, model)))
    }

    /// What the decoder is fed.
    pub(super) fn input(&self) -> RowInput {
        let spec = format!("{PROMPT}, then {} steps", self.steps);
        let tokens: Vec<u8> = self.prompt.iter().flat_map(|token| token.to_le_bytes()).collect();
        // Cells with other numbers of steps are not alike.
        let digest = Digest::of([&tokens[..], spec.as_bytes()]);
        RowInput { name: self.interface.tokens.clone(), spec, digest }
    }

    /// Decodes on a target. Also returns all steps if the target parts.
    pub(super) fn cell(
        &self,
        target: &Target,
        engines: &CellEngines<'_>,
    ) -> (Cell, Option<Decode>) {
        match self.decoded(target, engines) {
            Ok(decode) => {
                let cell = decode.targets.first().map(cell_of);
                let parts = cell.as_ref().is_some_and(|cell| cell.kind.news() == News::Bad);
                let cell = cell.unwrap_or_else(|| Cell::unclear("the target was not run"));
                (cell, parts.then_some(decode))
            }
            Err(failure) => (Cell::unclear(public(&failure.line())), None),
        }
    }

    fn decoded(&self, target: &Target, engines: &CellEngines<'_>) -> Result<Decode, Failure> {
        let model = Model::load(&self.path)?;
        let decoder = Decoder {
            model: &model,
            interface: &self.interface,
            registry: engines.registry,
            reference: engines.reference.clone(),
            deadline: engines.deadline,
            settings: Settings { targets: engines.targets.clone(), ..Settings::default() },
            walks: true,
            free: false,
        };
        let targets = [(public(&target.to_string()), target.clone())];
        let decoded = decoder.decode(&self.prompt, self.steps, &targets, &mut |_| ())?;
        Ok(document(&self.path, &decoder, &self.prompt, decoded))
    }
}

/// Whether a network with tokens and scores is a decoder: it has a state, or scores for each token. A classifier of
/// texts has neither.
fn is_decoder(model: &Model, interface: &Interface) -> bool {
    let axes = |name: &ValueName| Some(model.value_info(name)?.shape?.len());
    let tokens = model.value_info(&interface.tokens);
    let is_text = tokens.is_some_and(|tokens| matches!(tokens.dtype, Dtype::I32 | Dtype::I64));
    let for_each_token = || match (axes(&interface.tokens), axes(&interface.logits)) {
        (Some(tokens), Some(logits)) => tokens <= 2 && logits == tokens + 1,
        _ => false,
    };
    is_text && (interface.has_state() || for_each_token())
}

fn cell_of(lane: &DecodeLane) -> Cell {
    Cell {
        kind: lane.kind,
        ran_on: lane.ran_on.clone(),
        sources: lane.part.as_ref().map(|part| part.sources.clone()),
        ..Cell::unclear(public(&lane.sentence))
    }
}
