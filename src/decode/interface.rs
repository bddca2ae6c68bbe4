//! Which inputs and outputs of a network are tokens, positions, scores and state.

use super::error::DecodeError;
use crate::graph::{Dim, LARGEST_INPUT, Model, ValueInfo, ValueName};
use crate::inputs::Feed;
use crate::tensor::{Dtype, Tensor};
use std::collections::BTreeMap;

/// Words that say that a value is the state before or after a step, but not which state.
const SIDES: &[&str] = &[
    "past", "present", "in", "out", "input", "output", "prev", "previous", "next", "new", "old",
    "values", "state", "states", "cache",
];

/// The inputs and outputs of a decoder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// The input of the tokens, `[1, n]` or `[n]`.
    pub tokens: ValueName,
    /// The inputs of the tokens' positions.
    pub positions: Vec<ValueName>,
    /// The input that says whether there is a state before the step, as in networks with two branches.
    pub flag: Option<ValueName>,
    /// The input that has a one for each token seen so far.
    pub mask: Option<ValueName>,
    /// The output with a score for each word of the vocabulary.
    pub logits: ValueName,
    /// The number of scores.
    pub vocabulary: usize,
    /// What goes from one step to the next. Without it, each step is fed all tokens.
    pub states: Vec<DecoderState>,
}

/// An output that is an input of the next step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecoderState {
    /// The input.
    pub input: ValueName,
    /// The output.
    pub output: ValueName,
    /// The axis that grows by one for each token; `None` if the state keeps its shape.
    pub axis: Option<usize>,
    /// The layer, if the name has a number.
    pub layer: Option<usize>,
    /// What the state holds.
    pub role: StateRole,
    /// The shape before the first token.
    pub first: Vec<usize>,
    /// The element type.
    pub dtype: Dtype,
}

/// What a state holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum StateRole {
    /// The keys of an attention.
    Key,
    /// The values of an attention.
    Value,
    /// Something else, such as the state of a recurrent layer.
    Other,
}

impl StateRole {
    /// The name in reports.
    pub fn name(self) -> &'static str {
        match self {
            StateRole::Key => "key",
            StateRole::Value => "value",
            StateRole::Other => "state",
        }
    }
}

impl Interface {
    /// Finds the parts of a decoder by names and shapes. `pairs` are states that the user names.
    ///
    /// # Errors
    /// If the tokens or the scores cannot be found, or an input is left over.
    pub fn of(model: &Model, pairs: &[(ValueName, ValueName)]) -> Result<Self, DecodeError> {
        let find = Finder { model };
        let states = find.states(pairs)?;
        let rest: Vec<&ValueInfo> = model
            .inputs()
            .iter()
            .filter(|input| !states.iter().any(|state| state.input == input.name))
            .collect();
        let named = |words: &[&str]| -> Vec<ValueName> {
            let named = rest.iter().filter(|input| has_word(&input.name, words));
            named.map(|input| input.name.clone()).collect()
        };
        let mask = named(&["mask"]).into_iter().next();
        let positions = named(&["position", "positions", "pos"]);
        let mut flags = rest.iter().filter(|input| input.dtype == Dtype::Bool);
        let flag = flags.find(|input| Some(&input.name) != mask.as_ref());
        let flag = flag.map(|input| input.name.clone());
        let is_other = |name: &ValueName| {
            [mask.as_ref(), flag.as_ref()].contains(&Some(name)) || positions.contains(name)
        };
        let others: Vec<&&ValueInfo> = rest.iter().filter(|input| !is_other(&input.name)).collect();
        let tokens = others
            .iter()
            .find(|input| !input.dtype.is_float() && input.dtype != Dtype::Bool)
            .ok_or_else(|| find.lacks("no input of integers takes the tokens", "input_ids"))?;
        if let Some(left) = others.iter().find(|input| input.name != tokens.name) {
            return Err(find.unknown(&left.name));
        }
        let (logits, vocabulary) = find.logits(&states)?;
        let tokens = tokens.name.clone();
        Ok(Interface { tokens, positions, flag, mask, logits, vocabulary, states })
    }

    /// Whether a step needs only the new tokens.
    pub fn has_state(&self) -> bool {
        !self.states.is_empty()
    }

    /// The state before the first token: empty, or zeros.
    pub fn first_state(&self) -> Vec<Tensor> {
        let zeros = |state: &DecoderState| {
            let bytes = state.first.iter().product::<usize>() * state.dtype.size();
            Tensor::from_bytes(state.dtype, &state.first, &vec![0; bytes])
        };
        self.states.iter().filter_map(|state| zeros(state).ok()).collect()
    }

    /// The state after a step, from its outputs. `None` if an output is missing.
    pub fn state_after(&self, outputs: &BTreeMap<ValueName, Tensor>) -> Option<Vec<Tensor>> {
        self.states.iter().map(|state| outputs.get(&state.output).cloned()).collect()
    }

    /// The feeds of a step: new tokens after `past` earlier ones, with the state.
    pub fn feeds(&self, model: &Model, fed: &[i64], past: usize, state: &[Tensor]) -> Vec<Feed> {
        let positions: Vec<i64> = (past..past + fed.len()).map(|at| at as i64).collect();
        let mut seen = vec![1; past + fed.len()];
        let has_past = [i64::from(past > 0)];
        let states: BTreeMap<&ValueName, &Tensor> =
            self.states.iter().map(|state| &state.input).zip(state).collect();
        let mut one = |input: &ValueInfo| {
            let name = &input.name;
            let numbers = match name {
                name if *name == self.tokens => fed,
                name if self.positions.contains(name) => &positions,
                name if Some(name) == self.flag.as_ref() => &has_past,
                name if Some(name) == self.mask.as_ref() => {
                    // A mask over a cache of fixed length has zeros after the tokens so far.
                    if let Some(Dim::Known(length)) = input.shape.iter().flatten().last() {
                        seen.resize(seen.len().max(*length), 0);
                    }
                    &seen
                }
                name => {
                    let state = states.get(name).copied()?;
                    return Some(Feed::new(name.clone(), "state", state.clone()));
                }
            };
            let rank = input.shape.as_ref().map_or(2, Vec::len);
            Some(Feed::new(name.clone(), "given", row(numbers, rank, input.dtype)?))
        };
        model.inputs().iter().filter_map(&mut one).collect()
    }
}

/// Integers as one row, in an element type.
fn row(numbers: &[i64], rank: usize, dtype: Dtype) -> Option<Tensor> {
    let shape: Vec<usize> =
        std::iter::repeat_n(1, rank.saturating_sub(1)).chain([numbers.len()]).collect();
    let bytes: Vec<u8> = numbers
        .iter()
        .flat_map(|&number| match dtype {
            Dtype::I32 => (number as i32).to_le_bytes().to_vec(),
            Dtype::F32 => (number as f32).to_le_bytes().to_vec(),
            Dtype::Bool => vec![u8::from(number != 0)],
            _ => number.to_le_bytes().to_vec(),
        })
        .collect();
    Tensor::from_bytes(dtype, &shape, &bytes).ok()
}

/// The words of a name, in lower case: letters apart from digits.
fn words(name: &ValueName) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut before = ' ';
    for c in name.as_str().to_lowercase().chars() {
        match c.is_alphanumeric() {
            true if before.is_alphanumeric() && before.is_ascii_digit() == c.is_ascii_digit() => {
                if let Some(word) = words.last_mut() {
                    word.push(c);
                }
            }
            true => words.push(c.to_string()),
            false => {}
        }
        before = c;
    }
    words
}

fn has_word(name: &ValueName, wanted: &[&str]) -> bool {
    words(name).iter().any(|word| wanted.contains(&word.as_str()))
}

/// The words of a name that tell one state from the others.
fn signature(name: &ValueName) -> Vec<String> {
    let text = name.as_str().to_lowercase();
    let short = ["past_key_values", "past_key_value", "present_key_values", "present_key_value"]
        .iter()
        .fold(text, |text, prefix| text.replace(prefix, "past"));
    let words = words(&ValueName::from(short.as_str()));
    words.into_iter().filter(|word| !SIDES.contains(&word.as_str())).collect()
}

/// Looks for the parts of one network.
struct Finder<'a> {
    model: &'a Model,
}

impl Finder<'_> {
    /// The states: those that the user names, or inputs and outputs whose names say the same.
    fn states(&self, pairs: &[(ValueName, ValueName)]) -> Result<Vec<DecoderState>, DecodeError> {
        if !pairs.is_empty() {
            return pairs.iter().map(|(input, output)| self.named(input, output)).collect();
        }
        let mut states = Vec::new();
        for input in self.model.inputs().iter().filter(|input| self.may_be_state(input)) {
            let wanted = signature(&input.name);
            let mut fits = self
                .outputs()
                .filter(|output| signature(&output.name) == wanted && is_like(input, output));
            if let (Some(output), None) = (fits.next(), fits.next()) {
                states.push(self.state(input, &output.name)?);
            }
        }
        let left = self.model.inputs().iter().filter(|input| self.may_be_state(input)).count();
        match left == states.len() {
            true => Ok(states),
            false => self.in_order(),
        }
    }

    /// If the names say nothing, states are in the same order on both sides.
    fn in_order(&self) -> Result<Vec<DecoderState>, DecodeError> {
        let inputs: Vec<&ValueInfo> =
            self.model.inputs().iter().filter(|input| self.may_be_state(input)).collect();
        let outputs: Vec<ValueInfo> = self.outputs().collect();
        // Scores come first or last.
        let extra = outputs.len().saturating_sub(inputs.len());
        let fitting = (0..=extra).find(|&skipped| {
            inputs.len() + skipped <= outputs.len()
                && inputs
                    .iter()
                    .zip(&outputs[skipped..])
                    .all(|(input, output)| is_like(input, output))
        });
        let skipped = fitting.ok_or_else(|| match inputs.first() {
            Some(input) => self.unknown(&input.name),
            None => self.lacks("no input looks like a state", "past_key_values.0.key"),
        })?;
        inputs
            .iter()
            .zip(&outputs[skipped..])
            .map(|(input, output)| self.state(input, &output.name))
            .collect()
    }

    fn named(&self, input: &ValueName, output: &ValueName) -> Result<DecoderState, DecodeError> {
        let known = self.model.inputs().iter().find(|known| known.name == *input);
        let known = known
            .ok_or_else(|| self.lacks(&format!("it has no input `{input}`"), input.as_str()))?;
        match self.model.outputs().contains(output) {
            true => self.state(known, output),
            false => Err(self.lacks(&format!("it has no output `{output}`"), input.as_str())),
        }
    }

    fn state(&self, input: &ValueInfo, output: &ValueName) -> Result<DecoderState, DecodeError> {
        let dims = input.shape.clone().unwrap_or_default();
        let open: Vec<usize> =
            (0..dims.len()).filter(|&at| matches!(dims[at], Dim::Symbol(_))).collect();
        // The first axis is the batch, unless it is the only open one.
        let is_batch = |at: &usize| match &dims[*at] {
            Dim::Symbol(symbol) => symbol.to_lowercase().contains("batch"),
            Dim::Known(_) => false,
        };
        let axis = open.iter().copied().rfind(|at| *at > 0 && !is_batch(at));
        let axis = axis.or(open.first().copied().filter(|at| !is_batch(at)));
        let extent = |(at, dim): (usize, &Dim)| match dim {
            Dim::Known(extent) => Some(*extent),
            Dim::Symbol(_) if Some(at) == axis => Some(0),
            Dim::Symbol(symbol) if at == 0 || symbol.to_lowercase().contains("batch") => Some(1),
            Dim::Symbol(_) => None,
        };
        let first: Option<Vec<usize>> = dims.iter().enumerate().map(extent).collect();
        let first = first.ok_or_else(|| {
            self.lacks(
                &format!("the state `{}` has several open dimensions", input.name),
                input.name.as_str(),
            )
        })?;
        let bytes =
            first.iter().try_fold(input.dtype.size(), |bytes, extent| bytes.checked_mul(*extent));
        if bytes.is_none_or(|bytes| bytes > LARGEST_INPUT) {
            let lacks = format!("the state `{}` is too large", input.name);
            return Err(self.lacks(&lacks, input.name.as_str()));
        }
        let words = words(&input.name);
        let has = |wanted: &[&str]| words.iter().any(|word| wanted.contains(&word.as_str()));
        let role = match (has(&["key", "k"]), has(&["value", "v"])) {
            // `past_key_values.0.value` has both words.
            (_, true) => StateRole::Value,
            (true, false) => StateRole::Key,
            (false, false) => StateRole::Other,
        };
        let layer = words.iter().find_map(|word| word.parse().ok());
        let (input, dtype) = (input.name.clone(), input.dtype);
        Ok(DecoderState { input, output: output.clone(), axis, layer, role, first, dtype })
    }

    /// Whether an input of numbers is neither a mask nor positions.
    fn may_be_state(&self, input: &ValueInfo) -> bool {
        let is_known = has_word(&input.name, &["mask", "position", "positions", "pos"]);
        input.dtype.is_float() && !is_known
    }

    fn outputs(&self) -> impl Iterator<Item = ValueInfo> {
        self.model.outputs().iter().filter_map(|name| self.model.value_info(name))
    }

    /// The scores: the output of this name, or the only one that is no state.
    fn logits(&self, states: &[DecoderState]) -> Result<(ValueName, usize), DecodeError> {
        let is_state = |name: &ValueName| states.iter().any(|state| state.output == *name);
        let rest: Vec<ValueInfo> = self
            .outputs()
            .filter(|output| output.dtype.is_float() && !is_state(&output.name))
            .collect();
        let named = rest.iter().find(|output| has_word(&output.name, &["logits", "scores"]));
        let found = named.or(rest.first());
        let found = found.ok_or_else(|| self.lacks("no output gives scores", "logits"))?;
        let last = found.shape.as_ref().and_then(|dims| dims.last());
        match last {
            Some(Dim::Known(vocabulary)) if *vocabulary > 1 => {
                Ok((found.name.clone(), *vocabulary))
            }
            _ => Err(self.lacks(
                &format!("the size of the vocabulary, the last axis of `{}`, is open", found.name),
                "logits",
            )),
        }
    }

    fn lacks(&self, lacks: &str, example: &str) -> DecodeError {
        DecodeError::NoDecoder {
            model: self.model.path().display().to_string(),
            lacks: lacks.to_owned(),
            hint: format!(
                "a decoder has an input of tokens, an output of scores, and pairs of states; name the pairs with --state INPUT=OUTPUT, such as --state {example}=OUTPUT"
            ),
        }
    }

    fn unknown(&self, name: &ValueName) -> DecodeError {
        DecodeError::NoDecoder {
            model: self.model.path().display().to_string(),
            lacks: format!("what to feed to the input `{name}` is not known"),
            hint: format!(
                "if it is the state of the step before, name its output: --state {name}=OUTPUT"
            ),
        }
    }
}

/// Whether an output can be the next value of an input: same element type, and the same known dimensions.
fn is_like(input: &ValueInfo, output: &ValueInfo) -> bool {
    let (Some(before), Some(after)) = (&input.shape, &output.shape) else {
        return input.dtype == output.dtype;
    };
    let fits = |(a, b): (&Dim, &Dim)| match (a, b) {
        (Dim::Known(a), Dim::Known(b)) => a == b,
        _ => true,
    };
    input.dtype == output.dtype && before.len() == after.len() && before.iter().zip(after).all(fits)
}
