//! Rotary embeddings of ONNX Runtime, in standard operators.

use super::heads::split;
use super::replacement::Replacement;

/// The tables of a rotary embedding, and how it turns.
pub(super) struct Rotary {
    /// The rows of the tables for each token: `[batch, 1, tokens, half]`.
    cosine: String,
    sine: String,
    /// Half of the elements that are turned; 0 if all are.
    half: i64,
    /// Whether neighbours are turned against each other, and not the two halves.
    interleaved: bool,
}

impl Rotary {
    /// The rows of the tables at `positions`, which are `[batch, tokens]`. The size of a head tells if all elements are
    /// turned.
    pub(super) fn at(
        piece: &mut Replacement<'_>,
        tables: [&str; 2],
        positions: &str,
        size: Option<i64>,
        interleaved: bool,
    ) -> Option<Self> {
        let half = piece.extent(tables[0], 1);
        let half = match (half, size) {
            (Some(half), Some(size)) if 2 * half < size => half,
            // Without the tables' extent all elements are turned, as in almost every network.
            _ => 0,
        };
        let [cosine, sine] = tables.map(|table| {
            let rows = piece.op("Gather", &[table, positions], &[]);
            piece.unsqueeze(&rows, 1)
        });
        Some(Rotary { cosine, sine, half, interleaved })
    }

    /// Turns `[batch, heads, tokens, size]`.
    pub(super) fn turned(&self, piece: &mut Replacement<'_>, value: &str) -> String {
        if self.half == 0 {
            return self.turned_whole(piece, value);
        }
        let part = piece.slice(value, 3, 0, 2 * self.half, 1);
        let rest = piece.slice(value, 3, 2 * self.half, i64::MAX, 1);
        let part = self.turned_whole(piece, &part);
        piece.concat(&[&part, &rest], 3)
    }

    fn turned_whole(&self, piece: &mut Replacement<'_>, value: &str) -> String {
        let (one, other) = match self.interleaved {
            true => {
                let even = piece.slice(value, 3, 0, i64::MAX, 2);
                (even, piece.slice(value, 3, 1, i64::MAX, 2))
            }
            false => halves(piece, value, &self.cosine),
        };
        let kept = piece.op("Mul", &[&one, &self.cosine], &[]);
        let moved = piece.op("Mul", &[&other, &self.sine], &[]);
        let first = piece.op("Sub", &[&kept, &moved], &[]);
        let kept = piece.op("Mul", &[&other, &self.cosine], &[]);
        let moved = piece.op("Mul", &[&one, &self.sine], &[]);
        let second = piece.op("Add", &[&kept, &moved], &[]);
        if !self.interleaved {
            return piece.concat(&[&first, &second], 3);
        }
        let pairs = [first, second].map(|part| piece.unsqueeze(&part, 4));
        let pairs = piece.concat(&[&pairs[0], &pairs[1]], 4);
        let shape = piece.op("Shape", &[value], &[]);
        piece.op("Reshape", &[&pairs, &shape], &[])
    }
}

/// The first and the second half of the last axis.
fn halves(piece: &mut Replacement<'_>, value: &str, cosine: &str) -> (String, String) {
    let half = piece.extent_of(cosine, 3);
    let [zero, axis, end] = [0, 3, i64::MAX].map(|number| piece.ints(&[number]));
    let one = piece.op("Slice", &[value, &zero, &half, &axis], &[]);
    (one, piece.op("Slice", &[value, &half, &end, &axis], &[]))
}

/// `RotaryEmbedding`: turns an input by tables, at given positions or from a first position on.
pub(super) fn rotary_embedding(piece: &mut Replacement<'_>) -> Option<()> {
    let [value, positions, cosine, sine] = [0, 1, 2, 3].map(|place| piece.input(place));
    let (value, positions, cosine, sine) = (value?, positions?, cosine?, sine?);
    let is_scaled = piece.float("scale").is_some_and(|scale| scale != 1.0);
    if is_scaled || piece.int("is_packed_batching").unwrap_or(0) != 0 {
        return None;
    }
    let is_apart = piece.rank(&value)? == 4;
    let heads = piece.count("num_heads");
    let asked = piece.count("rotary_embedding_dim");
    let size = match (is_apart, heads) {
        (true, _) => piece.extent(&value, 3),
        (false, Some(heads)) => piece.extent(&value, 2).map(|size| size / heads),
        (false, None) => piece.extent(&cosine, 1).filter(|_| asked.is_none()).map(|half| 2 * half),
    };
    let is_one = piece.rank(&positions)? == 1;
    let positions = match is_one {
        true => {
            let count = piece.count_to(&value, if is_apart { 2 } else { 1 });
            let own = piece.op("Add", &[&count, &positions], &[]);
            piece.unsqueeze(&own, 0)
        }
        false => positions,
    };
    let interleaved = piece.int("interleaved").unwrap_or(0) != 0;
    let rotary = Rotary::at(piece, [&cosine, &sine], &positions, size, interleaved)?;
    let result = match is_apart {
        true => rotary.turned(piece, &value),
        false => {
            let heads = match (heads, size, piece.extent(&value, 2)) {
                (Some(heads), ..) => heads,
                (None, Some(size), Some(all)) if size > 0 => all / size,
                _ => return None,
            };
            let apart = split(piece, &value, heads);
            let turned = rotary.turned(piece, &apart);
            let together = piece.transpose(&turned, &[0, 2, 1, 3]);
            piece.reshape(&together, &[0, 0, -1])
        }
    };
    piece.give(0, &result);
    Some(())
}
