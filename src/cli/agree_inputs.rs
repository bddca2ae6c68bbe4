//! The inputs of `offby agree`: a data set, or the tokens of texts for a decoder.

use super::agree_args::AgreeRunArgs;
use crate::decode::{Interface, TextToken, Texts};
use crate::engine::{Execution, Outcome, Output};
use crate::graph::{Model, ValueName};
use crate::inputs::{
    Dataset, Feed, Framing, InputError, Normalization, Preparation, Sample, shapes_of,
};
use crate::session::Failure;
use crate::tensor::{Digest, Tensor};
use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;

/// Where the inputs of a run come from.
pub(super) enum AgreeInputs {
    /// A data set.
    Data(Dataset),
    /// Texts for a decoder: each token but the last is an input.
    Texts(TextInputs),
}

/// The texts of a decoder.
pub(super) struct TextInputs {
    texts: Texts,
    interface: Interface,
    /// The last text: its tokens share the network's shapes and the feeds.
    last: RefCell<Option<(usize, FedText)>>,
}

/// The network with the shapes of a text, and the text's feeds.
type FedText = (Rc<Model>, Vec<Feed>);

/// One input, ready to run.
pub(super) struct GivenInput {
    pub(super) sample: Sample,
    /// The network with the input's own shapes, if they differ from input to input.
    model: Option<Rc<Model>>,
    /// Where the scores of the input are, if it is a token of a text.
    pub(super) token: Option<TokenRow>,
}

/// The scores of one token.
pub(super) struct TokenRow {
    scores: ValueName,
    /// The token's row.
    pub(super) place: usize,
    /// The number of rows: one for each token.
    rows: usize,
}

impl AgreeInputs {
    /// Opens texts if the network is a decoder and the file has lists of numbers; otherwise a data set.
    pub(super) fn open(args: &AgreeRunArgs, model: &Model, path: &Path) -> Result<Self, Failure> {
        match Interface::of(model, &[]) {
            Ok(interface) => {
                if let Some(texts) = Texts::read(path, interface.vocabulary)? {
                    let last = RefCell::default();
                    return Ok(AgreeInputs::Texts(TextInputs { texts, interface, last }));
                }
            }
            Err(error) if matches!(Texts::read(path, usize::MAX), Ok(Some(_))) => {
                return Err(error.into());
            }
            Err(_) => {}
        }
        let picture = &args.picture;
        let preparation = Preparation {
            framing: Framing { resize: picture.resize, crop: picture.crop },
            normalization: Normalization::new(&picture.mean, &picture.std)?,
        };
        let values = (&*model.resolved_inputs()?, model.outputs());
        let labels = args.labels.as_deref();
        Ok(AgreeInputs::Data(Dataset::open(path, values, labels, preparation)?))
    }

    /// The number of inputs.
    pub(super) fn len(&self) -> usize {
        match self {
            AgreeInputs::Data(dataset) => dataset.len(),
            AgreeInputs::Texts(texts) => texts.texts.len(),
        }
    }

    /// The number of inputs with a right class.
    pub(super) fn labels(&self) -> usize {
        match self {
            AgreeInputs::Data(dataset) => dataset.labels(),
            AgreeInputs::Texts(texts) => texts.texts.len(),
        }
    }

    /// How pictures are prepared.
    pub(super) fn preparation(&self) -> String {
        match self {
            AgreeInputs::Data(dataset) => dataset.preparation(),
            AgreeInputs::Texts(_) => String::new(),
        }
    }

    /// The digest of all inputs.
    pub(super) fn digest(&self) -> Result<Digest, InputError> {
        match self {
            AgreeInputs::Data(dataset) => dataset.digest(),
            AgreeInputs::Texts(texts) => Ok(texts.texts.digest()),
        }
    }

    /// Reads an input for this network.
    pub(super) fn read(&self, model: &Model, input: usize) -> Result<GivenInput, Failure> {
        match self {
            AgreeInputs::Data(dataset) => {
                Ok(GivenInput { sample: dataset.read(input)?, model: None, token: None })
            }
            AgreeInputs::Texts(texts) => texts.read(model, input),
        }
    }
}

impl TextInputs {
    fn read(&self, model: &Model, input: usize) -> Result<GivenInput, Failure> {
        let TextToken { fed, text, place, next } =
            self.texts.token(input).ok_or_else(Failure::bug)?;
        let mut last = self.last.borrow_mut();
        let (shaped, feeds) = match last.as_ref().filter(|(known, _)| *known == text) {
            Some((_, fed)) => fed.clone(),
            None => last.insert((text, self.feed(model, fed)?)).1.clone(),
        };
        let id = format!("{}[{text}] token {place}", self.texts.name());
        let label = usize::try_from(next).ok();
        let sample = Sample { id, feeds, label, expected: Vec::new() };
        let scores = self.interface.logits.clone();
        let token = Some(TokenRow { scores, place, rows: fed.len() });
        Ok(GivenInput { sample, model: Some(shaped), token })
    }

    fn feed(&self, model: &Model, tokens: &[i64]) -> Result<FedText, Failure> {
        let feeds = self.interface.feeds(model, tokens, 0, &self.interface.first_state());
        let mut shaped = model.clone();
        shaped.fix_shapes(&shapes_of(&feeds))?;
        Ok((Rc::new(shaped), feeds))
    }
}

impl GivenInput {
    /// The network with the input's shapes. `model` is the network of all inputs.
    pub(super) fn model<'m>(&'m self, model: &'m Model) -> &'m Model {
        self.model.as_deref().unwrap_or(model)
    }

    /// The outputs that count: of a decoder, the scores of the input's token.
    pub(super) fn counted(&self, outputs: &[Output]) -> Vec<Output> {
        let Some(token) = &self.token else { return outputs.to_vec() };
        let scores = outputs.iter().filter(|output| output.name == token.scores);
        let of_token = |output: &Output| {
            Some(Output { name: output.name.clone(), tensor: token.row(&output.tensor)? })
        };
        scores.filter_map(of_token).collect()
    }

    /// Fails if a run that completed has no scores for a token.
    pub(super) fn check(&self, execution: &Execution) -> Result<(), Failure> {
        let has_none = execution.outcome == Outcome::Completed && execution.outputs.is_empty();
        match &self.token {
            Some(token) if has_none => Err(Failure::new(
                format!("count the tokens of texts: `{}` has no row for each token", token.scores),
                "the network must give scores for every token, not for the last one only",
            )),
            _ => Ok(()),
        }
    }
}

impl TokenRow {
    /// The row of scores, as `[1, classes]`.
    fn row(&self, scores: &Tensor) -> Option<Tensor> {
        let classes = *scores.shape().last()?;
        if classes.checked_mul(self.rows) != Some(scores.len()) {
            return None;
        }
        let size = classes * scores.dtype().size();
        let bytes = scores.to_bytes();
        let row = bytes.get(self.place * size..(self.place + 1) * size)?;
        Tensor::from_bytes(scores.dtype(), &[1, classes], row).ok()
    }
}
