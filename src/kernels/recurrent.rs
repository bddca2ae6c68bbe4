//! Recurrent layers: RNN, GRU and LSTM, with the activations that the standard takes by default.
//!
//! The attribute `activations` is a list of texts, which the caller cannot pass on. The caller must
//! not ask for a node with this attribute. Each direction and each sequence of the batch is
//! computed on its own.

use super::call::Kernel;
use super::call::Reals;
use super::layout::{count, flag, floats, floats_if_there, int, longs_if_there, text};
use super::{Call, Refused};
use crate::tensor::Tensor;

/// The kernels of this file.
pub(super) const RECURRENT: &[(&str, Kernel)] = &[("RNN", rnn), ("GRU", gru), ("LSTM", lstm)];

/// The extents of a layer.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    steps: usize,
    batch: usize,
    input: usize,
    hidden: usize,
    gates: usize,
    directions: usize,
}

/// The weights of one direction.
struct Weights<'a> {
    sizes: Sizes,
    input: &'a [f64],
    hidden: &'a [f64],
    /// The biases of the input, then the biases of the hidden state.
    bias: &'a [f64],
    /// The weights from the cell to the gates of an LSTM.
    peephole: &'a [f64],
    /// Whether a GRU resets after its product.
    after: bool,
}

/// The hidden state and the cell of one sequence.
#[derive(Clone)]
struct HiddenState {
    hidden: Vec<f64>,
    cell: Vec<f64>,
}

type RecurrentStep = fn(&Weights<'_>, &[f64], &mut HiddenState);

fn sigmoid(value: f64) -> f64 {
    1.0 / (1.0 + (-value).exp())
}

impl Weights<'_> {
    /// A gate's sum over the input, with the input's bias.
    fn input_sum(&self, gate: usize, unit: usize, input: &[f64]) -> f64 {
        let row = gate * self.sizes.hidden + unit;
        let weights = &self.input[row * self.sizes.input..][..self.sizes.input];
        self.bias[row] + dot(weights, input)
    }

    /// A gate's sum over the hidden state, with that state's bias.
    fn hidden_sum(&self, gate: usize, unit: usize, hidden: &[f64]) -> f64 {
        let row = gate * self.sizes.hidden + unit;
        let weights = &self.hidden[row * self.sizes.hidden..][..self.sizes.hidden];
        self.bias[self.sizes.gates * self.sizes.hidden + row] + dot(weights, hidden)
    }

    /// A gate's sum over the input and the hidden state.
    fn both(&self, gate: usize, unit: usize, input: &[f64], hidden: &[f64]) -> f64 {
        self.input_sum(gate, unit, input) + self.hidden_sum(gate, unit, hidden)
    }
}

fn dot(left: &[f64], right: &[f64]) -> f64 {
    left.iter().zip(right).map(|(left, right)| left * right).sum()
}

fn rnn_step(weights: &Weights<'_>, input: &[f64], state: &mut HiddenState) {
    let units = 0..weights.sizes.hidden;
    state.hidden = units.map(|unit| weights.both(0, unit, input, &state.hidden).tanh()).collect();
}

/// The gates of a GRU are update, reset and hidden.
fn gru_step(weights: &Weights<'_>, input: &[f64], state: &mut HiddenState) {
    let units = || 0..weights.sizes.hidden;
    let old = &state.hidden;
    let gate = |gate: usize| -> Vec<f64> {
        units().map(|unit| sigmoid(weights.both(gate, unit, input, old))).collect()
    };
    let (update, reset) = (gate(0), gate(1));
    let kept: Vec<f64> = reset.iter().zip(old).map(|(reset, old)| reset * old).collect();
    let new = units().map(|unit| {
        let own = if weights.after {
            reset[unit] * weights.hidden_sum(2, unit, old)
        } else {
            weights.hidden_sum(2, unit, &kept)
        };
        let candidate = (weights.input_sum(2, unit, input) + own).tanh();
        (1.0 - update[unit]) * candidate + update[unit] * old[unit]
    });
    state.hidden = new.collect();
}

/// The gates of an LSTM are input, output, forget and cell; its peepholes are input, output, forget.
fn lstm_step(weights: &Weights<'_>, input: &[f64], state: &mut HiddenState) {
    let old = state.hidden.clone();
    for unit in 0..weights.sizes.hidden {
        let sum = |gate: usize| weights.both(gate, unit, input, &old);
        let peep = |gate: usize, cell: f64| {
            weights.peephole.get(gate * weights.sizes.hidden + unit).map_or(0.0, |by| by * cell)
        };
        let before = state.cell[unit];
        let enter = sigmoid(sum(0) + peep(0, before));
        let forget = sigmoid(sum(2) + peep(2, before));
        let cell = forget * before + enter * sum(3).tanh();
        let leave = sigmoid(sum(1) + peep(1, cell));
        state.cell[unit] = cell;
        state.hidden[unit] = leave * cell.tanh();
    }
}

fn rnn(call: &Call<'_>) -> Result<Vec<Tensor>, Refused> {
    layer(call, 1, rnn_step)
}

fn gru(call: &Call<'_>) -> Result<Vec<Tensor>, Refused> {
    layer(call, 3, gru_step)
}

fn lstm(call: &Call<'_>) -> Result<Vec<Tensor>, Refused> {
    layer(call, 4, lstm_step)
}

/// The attributes that this kernel knows. `hidden_size` must agree with the weights.
const KNOWN: [&str; 5] =
    ["direction", "hidden_size", "input_forget", "layout", "linear_before_reset"];

/// Reads the extents and refuses forms that this kernel does not know.
fn sizes(call: &Call<'_>, gates: usize) -> Result<Sizes, Refused> {
    if let Some(name) = call.attributes.keys().find(|name| !KNOWN.contains(&name.as_str())) {
        return Err(format!("attribute {name}"));
    }
    if int(call, "layout", 0)? != 0 || int(call, "input_forget", 0)? != 0 || call.opset < 7 {
        return Err("a layout, coupled gates or an old operator set".to_owned());
    }
    let directions = match text(call, "direction", "forward")? {
        "forward" | "reverse" => 1,
        "bidirectional" => 2,
        other => return Err(format!("direction {other}")),
    };
    let (input, hidden) = (call.needed(0)?.shape(), call.needed(2)?.shape());
    let ([steps, batch, input], [_, _, hidden]) = (input, hidden) else {
        return Err(format!("an input of shape {input:?}, hidden weights of shape {hidden:?}"));
    };
    let sizes =
        Sizes { steps: *steps, batch: *batch, input: *input, hidden: *hidden, gates, directions };
    count(&[sizes.steps, sizes.batch, sizes.directions, sizes.hidden])?;
    count(&[sizes.directions, 2 * gates, sizes.hidden])?;
    if int(call, "hidden_size", *hidden as i64)? != *hidden as i64 {
        return Err(format!("a hidden_size other than {hidden}"));
    }
    Ok(sizes)
}

/// An input of a shape; zeros if the node omits the input.
fn shaped(call: &Call<'_>, place: usize, shape: &[usize]) -> Result<Vec<f64>, Refused> {
    let elements = count(shape)?;
    match floats_if_there(call, place)? {
        None => Ok(vec![0.0; elements]),
        Some(reals) if reals.shape == shape => Ok(reals.values),
        Some(reals) => Err(format!("input {place} is {:?}, not {shape:?}", reals.shape)),
    }
}

/// The number of steps of each sequence.
fn lengths(call: &Call<'_>, sizes: Sizes) -> Result<Vec<usize>, Refused> {
    let Some(lengths) = longs_if_there(call, 4)? else {
        count(&[sizes.batch])?;
        return Ok(vec![sizes.steps; sizes.batch]);
    };
    let lengths: Option<Vec<usize>> =
        lengths.into_iter().map(|length| usize::try_from(length).ok()).collect();
    lengths
        .filter(|lengths| {
            lengths.len() == sizes.batch && lengths.iter().all(|&at| at <= sizes.steps)
        })
        .ok_or_else(|| "sequence lengths that do not fit".to_owned())
}

/// The parameters of a layer, without its input.
struct Given {
    by_input: Vec<f64>,
    by_hidden: Vec<f64>,
    bias: Vec<f64>,
    peephole: Vec<f64>,
    after: bool,
    backward: bool,
    lengths: Vec<usize>,
    hidden: Vec<f64>,
    cell: Vec<f64>,
}

impl Given {
    fn of(call: &Call<'_>, sizes: Sizes) -> Result<Self, Refused> {
        let Sizes { batch, input, hidden, gates, directions, .. } = sizes;
        let rows = gates * hidden;
        call.needed(1)?;
        let state = [directions, batch, hidden];
        let is_lstm = gates == 4;
        Ok(Given {
            by_input: shaped(call, 1, &[directions, rows, input])?,
            by_hidden: shaped(call, 2, &[directions, rows, hidden])?,
            bias: shaped(call, 3, &[directions, 2 * rows])?,
            peephole: match is_lstm {
                true => shaped(call, 7, &[directions, 3 * hidden])?,
                false => vec![0.0; directions * 3 * hidden],
            },
            after: flag(call, "linear_before_reset", false)?,
            backward: text(call, "direction", "forward")? == "reverse",
            lengths: lengths(call, sizes)?,
            hidden: shaped(call, 5, &state)?,
            cell: if is_lstm { shaped(call, 6, &state)? } else { vec![0.0; count(&state)?] },
        })
    }

    fn weights(&self, sizes: Sizes, direction: usize) -> Weights<'_> {
        let Sizes { input, hidden, gates, .. } = sizes;
        let rows = gates * hidden;
        Weights {
            sizes,
            input: &self.by_input[direction * rows * input..][..rows * input],
            hidden: &self.by_hidden[direction * rows * hidden..][..rows * hidden],
            bias: &self.bias[direction * 2 * rows..][..2 * rows],
            peephole: &self.peephole[direction * 3 * hidden..][..3 * hidden],
            after: self.after,
        }
    }
}

fn layer(call: &Call<'_>, gates: usize, step: RecurrentStep) -> Result<Vec<Tensor>, Refused> {
    let sizes = sizes(call, gates)?;
    let Sizes { steps, batch, input, hidden, directions, .. } = sizes;
    let values = floats(call, 0)?.values;
    let mut given = Given::of(call, sizes)?;
    // Steps beyond the end of a sequence stay zero.
    let mut all = vec![0.0; steps * directions * batch * hidden];
    for sequence in 0..directions * batch {
        let (direction, image) = (sequence / batch, sequence % batch);
        let own = sequence * hidden..(sequence + 1) * hidden;
        let mut state = HiddenState {
            hidden: given.hidden[own.clone()].to_vec(),
            cell: given.cell[own.clone()].to_vec(),
        };
        let weights = given.weights(sizes, direction);
        let length = given.lengths[image];
        for at in 0..length {
            let at = if given.backward || direction == 1 { length - 1 - at } else { at };
            step(&weights, &values[(at * batch + image) * input..][..input], &mut state);
            let to = (at * directions + direction) * batch + image;
            all[to * hidden..][..hidden].copy_from_slice(&state.hidden);
        }
        given.hidden[own.clone()].copy_from_slice(&state.hidden);
        given.cell[own].copy_from_slice(&state.cell);
    }
    let ends = [directions, batch, hidden];
    let mut outputs = vec![
        Reals::new(&[steps, directions, batch, hidden], all).into_tensor()?,
        Reals::new(&ends, given.hidden).into_tensor()?,
    ];
    if gates == 4 {
        outputs.push(Reals::new(&ends, given.cell).into_tensor()?);
    }
    outputs.truncate(call.outputs.max(1));
    Ok(outputs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Attribute;
    use std::collections::BTreeMap;

    fn tensor(shape: &[usize], values: &[f32]) -> Option<Tensor> {
        Some(Tensor::from_f32(shape, values.to_vec()).unwrap())
    }

    fn run(
        op_type: &str,
        attributes: &[(&str, Attribute)],
        inputs: &[Option<Tensor>],
    ) -> Result<Vec<Vec<f64>>, Refused> {
        let attributes: BTreeMap<String, Attribute> =
            attributes.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let kernel = RECURRENT.iter().find(|(name, _)| *name == op_type).unwrap().1;
        let call = Call { op_type, opset: 14, attributes: &attributes, inputs, outputs: 3 };
        kernel(&call).map(|tensors| tensors.iter().map(|tensor| tensor.numbers(1)).collect())
    }

    fn near(left: &[f64], right: &[f64]) -> bool {
        left.len() == right.len() && left.iter().zip(right).all(|(a, b)| (a - b).abs() < 1e-12)
    }

    /// One unit over two steps of one sequence; all weights are 1.
    fn unit(gates: usize, directions: usize) -> Vec<Option<Tensor>> {
        let weights = || tensor(&[directions, gates, 1], &vec![1.0; directions * gates]);
        vec![tensor(&[2, 1, 1], &[0.5, -1.0]), weights(), weights()]
    }

    #[test]
    fn a_plain_layer_remembers() {
        let result = run("RNN", &[], &unit(1, 1)).unwrap();
        let first = 0.5f64.tanh();
        let second = (first - 1.0).tanh();
        assert!(near(&result[0], &[first, second]));
        assert!(near(&result[1], &[second]));
    }

    #[test]
    fn directions_run_apart() {
        let both = [("direction", Attribute::Text("bidirectional".to_owned()))];
        let result = run("RNN", &both, &unit(1, 2)).unwrap();
        let (late, early) = ((-1f64).tanh(), ((-1f64).tanh() + 0.5).tanh());
        let first = 0.5f64.tanh();
        let second = (first - 1.0).tanh();
        assert!(near(&result[0], &[first, early, second, late]));
        assert!(near(&result[1], &[second, early]));
    }

    #[test]
    fn short_sequences_end_in_zeros() {
        let mut inputs = unit(1, 1);
        inputs.push(None);
        let length = |length: i32| {
            Some(Tensor::I32(ndarray::ArrayD::from_elem(ndarray::IxDyn(&[1]), length)))
        };
        inputs.push(length(1));
        let result = run("RNN", &[], &inputs).unwrap();
        assert!(near(&result[0], &[0.5f64.tanh(), 0.0]));
        assert!(near(&result[1], &[0.5f64.tanh()]));
        inputs[4] = length(3);
        assert!(run("RNN", &[], &inputs).is_err());
    }

    #[test]
    fn gates_open_and_close() {
        let result = run("LSTM", &[], &unit(4, 1)).unwrap();
        let cell = sigmoid(0.5) * 0.5f64.tanh();
        assert!((result[0][0] - sigmoid(0.5) * cell.tanh()).abs() < 1e-12);
        let result = run("GRU", &[], &unit(3, 1)).unwrap();
        assert!((result[0][0] - (1.0 - sigmoid(0.5)) * 0.5f64.tanh()).abs() < 1e-12);
    }

    #[test]
    fn odd_forms_are_refused() {
        let odd = [
            ("layout", Attribute::Int(1)),
            ("clip", Attribute::Float(1.0)),
            ("hidden_size", Attribute::Int(-1)),
            ("direction", Attribute::Text("up".to_owned())),
            ("direction", Attribute::Text("bidirectional".to_owned())),
        ];
        for attribute in odd {
            assert!(
                run("RNN", std::slice::from_ref(&attribute), &unit(1, 1)).is_err(),
                "{attribute:?}"
            );
        }
        assert!(run("LSTM", &[], &unit(1, 1)).is_err());
        assert!(run("RNN", &[], &unit(1, 1)[..2]).is_err());
    }
}
