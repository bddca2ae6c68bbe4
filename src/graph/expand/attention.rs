//! Attentions of ONNX Runtime, in standard operators.

use super::heads::{Attention, Sight, after, repeat, split};
use super::replacement::Replacement;
use super::rotary::Rotary;
use crate::tensor::Dtype;

/// What a padding mask adds to the scores of hidden tokens, unless the node says otherwise.
const FILTER: f32 = -10000.0;

/// `GroupQueryAttention`, with a cache that grows by the new tokens.
pub(super) fn group_query(piece: &mut Replacement<'_>) -> Option<()> {
    let (heads, stored) = (piece.count("num_heads")?, piece.count("kv_num_heads")?);
    let (query, lengths) = (piece.input(0)?, piece.input(5)?);
    // A cache of fixed length is written in place.
    let is_fixed = match (piece.input(3), piece.node.output.get(1)) {
        (Some(past), Some(present)) => piece.facts.is_same_extent([&past, present], 2),
        _ => false,
    };
    if is_fixed || heads % stored != 0 || piece.writes(3) || has_scales(piece) {
        return None;
    }
    let size = head_size(piece, heads, stored);
    let [queries, keys, values] = match (piece.input(1), piece.input(2)) {
        (Some(key), Some(value)) => {
            [split(piece, &query, heads), split(piece, &key, stored), split(piece, &value, stored)]
        }
        _ => packed(piece, &query, [heads, stored, stored]),
    };
    let positions = positions(piece, &query, &lengths);
    let [queries, keys] = match piece.int("do_rotary").unwrap_or(0) {
        0 => [queries, keys],
        _ => {
            let (cosine, sine) = (piece.input(7)?, piece.input(8)?);
            let interleaved = piece.int("rotary_interleaved").unwrap_or(0) != 0;
            let at = piece.input(9).unwrap_or_else(|| positions.clone());
            let rotary = Rotary::at(piece, [&cosine, &sine], &at, size, interleaved)?;
            [queries, keys].map(|value| rotary.turned(piece, &value))
        }
    };
    let [past_key, past_value] = [3, 4].map(|place| piece.input(place));
    let (keys, values) = (after(piece, past_key, keys), after(piece, past_value, values));
    let sink = match piece.input(11) {
        Some(sink) => Some(piece.reshape(&sink, &[1, heads, 1, 1])),
        None => {
            let is_smooth = piece.int("smooth_softmax").unwrap_or(0) > 0;
            is_smooth.then(|| piece.number(0.0, &query))
        }
    };
    let attention = Attention {
        queries,
        keys: repeat(piece, &keys, stored, heads / stored),
        values: repeat(piece, &values, stored, heads / stored),
        scale: scale(piece, size),
        cap: piece.float("softcap").filter(|cap| *cap > 0.0),
        biases: piece.input(10).into_iter().collect(),
        sight: Sight::Back {
            positions,
            window: piece.int("local_window_size").filter(|window| *window > 0),
        },
        sink,
    };
    let result = attention.build(piece, &query);
    piece.give(0, &result);
    piece.give(1, &keys);
    piece.give(2, &values);
    Some(())
}

/// Whether a cache is stored in integers.
fn has_scales(piece: &Replacement<'_>) -> bool {
    piece.input(12).is_some() || piece.input(13).is_some()
}

/// `MultiHeadAttention`, with separate queries, keys and values.
pub(super) fn multi_head(piece: &mut Replacement<'_>) -> Option<()> {
    let heads = piece.count("num_heads")?;
    let query = piece.input(0)?;
    let (key, value) = (piece.input(1)?, piece.input(2)?);
    if piece.writes(3)
        || piece.input(8).is_some()
        || piece.rank(&query).is_some_and(|rank| rank != 3)
    {
        return None;
    }
    // Keys of another sequence may come with their heads apart.
    let are_apart = piece.rank(&key) == Some(4);
    let size = piece.extent(&query, 2).map(|all| all / heads);
    let query = biased(piece, query, 0)?;
    let queries = split(piece, &query, heads);
    let [keys, values] = match are_apart {
        true if piece.input(3).is_some() => return None,
        true => [key, value],
        false => {
            let (key, value) = (biased(piece, key, 1)?, biased(piece, value, 2)?);
            [split(piece, &key, heads), split(piece, &value, heads)]
        }
    };
    let [past_key, past_value] = [6, 7].map(|place| piece.input(place));
    let (keys, values) = (after(piece, past_key, keys), after(piece, past_value, values));
    let like = piece.input(0)?;
    let mut biases = Vec::new();
    if let Some(mask) = piece.input(4) {
        biases.push(padding(piece, &mask, &like)?);
    }
    biases.extend(piece.input(5));
    let scale = scale(piece, size);
    let sight = sight(piece, &queries, &keys);
    let (queries, kept) = (queries, [keys.clone(), values.clone()]);
    let attention =
        Attention { queries, keys, values, scale, cap: None, biases, sight, sink: None };
    let result = attention.build(piece, &like);
    piece.give(0, &result);
    piece.give(1, &kept[0]);
    piece.give(2, &kept[1]);
    Some(())
}

/// `Attention`: the products that make queries, keys and values are part of it.
pub(super) fn attention(piece: &mut Replacement<'_>) -> Option<()> {
    let heads = piece.count("num_heads")?;
    let [input, weights] = [0, 1].map(|place| piece.input(place));
    let (input, weights) = (input?, weights?);
    let has_more = piece.input(6).is_some() || !piece.kept(&["qkv_hidden_sizes"]).is_empty();
    if has_more || piece.int("do_rotary").unwrap_or(0) != 0 {
        return None;
    }
    let product = piece.op("MatMul", &[&input, &weights], &[]);
    let bias = piece.input(2);
    let product = piece.plus(product, bias);
    let [queries, keys, values] = packed(piece, &product, [heads; 3]);
    let [keys, values] = match piece.input(4) {
        Some(past) => {
            let mut stored = |place: i64, value: String| {
                let part = piece.slice(&past, 0, place, place + 1, 1);
                let axes = piece.ints(&[0]);
                let part = piece.op("Squeeze", &[&part, &axes], &[]);
                after(piece, Some(part), value)
            };
            [stored(0, keys), stored(1, values)]
        }
        None => [keys, values],
    };
    let mut biases = Vec::new();
    if let Some(mask) = piece.input(3) {
        biases.push(padding(piece, &mask, &input)?);
    }
    biases.extend(piece.input(5));
    let size = piece.extent(&weights, 1).map(|all| all / 3 / heads);
    let scale = scale(piece, size);
    let sight = sight(piece, &queries, &keys);
    if piece.writes(1) {
        let both = [&keys, &values].map(|value| piece.unsqueeze(value, 0));
        let present = piece.concat(&[&both[0], &both[1]], 0);
        piece.give(1, &present);
    }
    let attention =
        Attention { queries, keys, values, scale, cap: None, biases, sight, sink: None };
    let result = attention.build(piece, &input);
    piece.give(0, &result);
    Some(())
}

/// Where tokens may look in an attention that may be told to look back only.
fn sight(piece: &mut Replacement<'_>, queries: &str, keys: &str) -> Sight {
    if piece.int("unidirectional").unwrap_or(0) == 0 {
        return Sight::All;
    }
    let [own, all] = [queries, keys].map(|value| piece.extent_of(value, 2));
    let before = piece.op("Sub", &[&all, &own], &[]);
    let count = piece.count_to(queries, 2);
    let positions = piece.op("Add", &[&count, &before], &[]);
    Sight::Back { positions: piece.unsqueeze(&positions, 0), window: None }
}

/// A value with its part of the three biases in a row.
fn biased(piece: &mut Replacement<'_>, value: String, part: i64) -> Option<String> {
    let Some(bias) = piece.input(3) else { return Some(value) };
    let size = piece.extent(&bias, 0)? / 3;
    let bias = piece.slice(&bias, 0, part * size, (part + 1) * size, 1);
    Some(piece.op("Add", &[&value, &bias], &[]))
}

/// What a mask of `[batch, tokens]`, with ones for tokens to look at, adds to the scores.
fn padding(piece: &mut Replacement<'_>, mask: &str, like: &str) -> Option<String> {
    if piece.rank(mask).is_some_and(|rank| rank != 2) {
        return None;
    }
    let filter = piece.float("mask_filter_value").unwrap_or(FILTER);
    let seen = piece.cast(mask, Dtype::Bool);
    let (none, filter) = (piece.number(0.0, like), piece.number(filter, like));
    let added = piece.op("Where", &[&seen, &none, &filter], &[]);
    let added = piece.unsqueeze(&added, 1);
    Some(piece.unsqueeze(&added, 2))
}

/// The factor of the scores, if it is given or a head's size is known.
fn scale(piece: &Replacement<'_>, size: Option<i64>) -> Option<f32> {
    let given = piece.float("scale").filter(|scale| *scale != 0.0);
    given.or_else(|| size.map(|size| 1.0 / (size as f32).sqrt()))
}

/// Queries, keys and values of one value that has all of them in a row.
fn packed(piece: &mut Replacement<'_>, value: &str, heads: [i64; 3]) -> [String; 3] {
    let all = split(piece, value, heads.iter().sum());
    let mut from = 0;
    heads.map(|heads| {
        from += heads;
        piece.slice(&all, 1, from - heads, from, 1)
    })
}

/// The size of a head, from any declared extent.
fn head_size(piece: &Replacement<'_>, heads: i64, stored: i64) -> Option<i64> {
    let of_cache = piece.input(3).and_then(|past| piece.extent(&past, 3));
    let all = piece.input(0).and_then(|query| piece.extent(&query, 2));
    let rows = if piece.input(1).is_some() { heads } else { heads + 2 * stored };
    of_cache.or_else(|| all.map(|all| all / rows))
}

/// The positions of the new tokens, `[batch, tokens]`. `lengths` has the place of each last token.
fn positions(piece: &mut Replacement<'_>, query: &str, lengths: &str) -> String {
    if piece.input(3).is_none() {
        let count = piece.count_to(query, 1);
        return piece.unsqueeze(&count, 0);
    }
    let lengths = piece.cast_i64(lengths);
    let last = piece.reshape(&lengths, &[-1, 1]);
    let count = piece.count_to(query, 1);
    let extent = piece.extent_of(query, 1);
    let one = piece.int_scalar(1);
    let before = piece.op("Sub", &[&count, &extent], &[]);
    let before = piece.op("Add", &[&before, &one], &[]);
    piece.op("Add", &[&last, &before], &[])
}
