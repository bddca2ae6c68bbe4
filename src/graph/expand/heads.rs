//! The attention of several heads, in standard operators: what all of ONNX Runtime's attentions share.

use super::super::network::Attribute;
use super::replacement::Replacement;

/// Scores that no softmax lets through. 16 bits hold this one: an honest device that stores `f16` must not lose it.
const NEVER: f32 = -65504.0;

/// Where each token may look.
pub(super) enum Sight {
    /// At all tokens.
    All,
    /// At itself and the tokens before it; with a window, at so many tokens together. The positions are `[batch, tokens]`.
    Back { positions: String, window: Option<i64> },
}

/// The parts of an attention. Queries are `[batch, heads, tokens, size]`, keys and values the same with all tokens.
pub(super) struct Attention {
    pub(super) queries: String,
    pub(super) keys: String,
    pub(super) values: String,
    /// The factor of the scores; 1 over the root of a head's size if it is not given.
    pub(super) scale: Option<f32>,
    /// The limit of the scores.
    pub(super) cap: Option<f32>,
    /// Added to the scores, one after another.
    pub(super) biases: Vec<String>,
    pub(super) sight: Sight,
    /// One more score in each row, which takes its share and gives no value.
    pub(super) sink: Option<String>,
}

impl Attention {
    /// The result, as `[batch, tokens, heads * size]`.
    pub(super) fn build(self, piece: &mut Replacement<'_>, like: &str) -> String {
        let turned = piece.transpose(&self.keys, &[0, 1, 3, 2]);
        let products = piece.op("MatMul", &[&self.queries, &turned], &[]);
        let scale = match self.scale {
            Some(scale) => piece.number(scale, like),
            None => root_of_size(piece, &self.queries, like),
        };
        let mut scores = piece.op("Mul", &[&products, &scale], &[]);
        if let Some(cap) = self.cap {
            let cap = piece.number(cap, like);
            let part = piece.op("Div", &[&scores, &cap], &[]);
            let part = piece.op("Tanh", &[&part], &[]);
            scores = piece.op("Mul", &[&part, &cap], &[]);
        }
        for bias in &self.biases {
            scores = piece.op("Add", &[&scores, bias], &[]);
        }
        if let Sight::Back { positions, window } = &self.sight {
            let hidden = hidden(piece, positions, &self.keys, *window);
            let never = piece.number(NEVER, like);
            scores = piece.op("Where", &[&hidden, &never, &scores], &[]);
        }
        let shares = shares(piece, scores, self.sink);
        let mixed = piece.op("MatMul", &[&shares, &self.values], &[]);
        let together = piece.transpose(&mixed, &[0, 2, 1, 3]);
        piece.reshape(&together, &[0, 0, -1])
    }
}

/// 1 over the root of a head's size, which the file may not say.
fn root_of_size(piece: &mut Replacement<'_>, queries: &str, like: &str) -> String {
    let size = piece.extent_of(queries, 3);
    let size = piece.cast_like(&size, like);
    let root = piece.op("Sqrt", &[&size], &[]);
    piece.op("Reciprocal", &[&root], &[])
}

/// Which tokens each token may not look at: `[batch, 1, tokens, all tokens]`.
fn hidden(piece: &mut Replacement<'_>, positions: &str, keys: &str, window: Option<i64>) -> String {
    let all = piece.count_to(keys, 2);
    let own = piece.unsqueeze(positions, 1);
    let own = piece.unsqueeze(&own, 3);
    let later = piece.op("Greater", &[&all, &own], &[]);
    let Some(window) = window else { return later };
    let window = piece.int_scalar(window);
    let last = piece.op("Sub", &[&own, &window], &[]);
    let earlier = piece.op("LessOrEqual", &[&all, &last], &[]);
    piece.op("Or", &[&later, &earlier], &[])
}

/// The softmax of the scores, without the share of the sink.
fn shares(piece: &mut Replacement<'_>, scores: String, sink: Option<String>) -> String {
    let last = [("axis", Attribute::Int(-1))];
    let Some(sink) = sink else { return piece.op("Softmax", &[&scores], &last) };
    let first = piece.slice(&scores, 3, 0, 1, 1);
    let shape = piece.op("Shape", &[&first], &[]);
    let column = piece.op("Expand", &[&sink, &shape], &[]);
    let with_sink = piece.concat(&[&scores, &column], 3);
    let shares = piece.op("Softmax", &[&with_sink], &last);
    piece.slice(&shares, 3, 0, -1, 1)
}

/// `[batch, tokens, heads * size]` as `[batch, heads, tokens, size]`.
pub(super) fn split(piece: &mut Replacement<'_>, value: &str, heads: i64) -> String {
    let apart = piece.reshape(value, &[0, 0, heads, -1]);
    piece.transpose(&apart, &[0, 2, 1, 3])
}

/// Each head `times` times in a row: `[batch, heads * times, tokens, size]`.
pub(super) fn repeat(piece: &mut Replacement<'_>, value: &str, heads: i64, times: i64) -> String {
    if times == 1 {
        return value.to_owned();
    }
    let apart = piece.unsqueeze(value, 2);
    let shape = piece.ints(&[1, 1, times, 1, 1]);
    let repeated = piece.op("Expand", &[&apart, &shape], &[]);
    let [batch, tokens, size] = [0, 2, 3].map(|axis| piece.extent_of(value, axis));
    let heads = piece.ints(&[heads * times]);
    let shape = piece.concat(&[&batch, &heads, &tokens, &size], 0);
    piece.op("Reshape", &[&repeated, &shape], &[])
}

/// The values of earlier steps, if there are any, and the new ones.
pub(super) fn after(piece: &mut Replacement<'_>, past: Option<String>, value: String) -> String {
    match past {
        Some(past) => piece.concat(&[&past, &value], 2),
        None => value,
    }
}
