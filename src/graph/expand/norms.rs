//! Normalizations of ONNX Runtime, in standard operators.

use super::replacement::Replacement;

/// The default of `epsilon` in SimplifiedLayerNormalization.
const EPSILON: f32 = 1e-5;
/// Its default in the others, as ONNX Runtime defines them.
const SMALL_EPSILON: f32 = 1e-12;

/// `SimplifiedLayerNormalization`: x over the root of its mean square, times a scale.
pub(super) fn rms(piece: &mut Replacement<'_>) -> Option<()> {
    let x = piece.input(0)?;
    let result = root_mean_square(piece, &x, (1, 1), EPSILON)?;
    piece.give(0, &result);
    Some(())
}

/// `SkipSimplifiedLayerNormalization`: the same of a sum.
pub(super) fn skip_rms(piece: &mut Replacement<'_>) -> Option<()> {
    let sum = sum(piece, 3)?;
    let result = root_mean_square(piece, &sum, (2, 2), SMALL_EPSILON)?;
    piece.give(0, &result);
    piece.give(3, &sum);
    Some(())
}

/// `SkipLayerNormalization`: a layer normalization of a sum.
pub(super) fn skip_layer_norm(piece: &mut Replacement<'_>) -> Option<()> {
    let (gamma, beta) = (piece.input(2)?, piece.input(3));
    if piece.writes(1) || piece.writes(2) {
        return None;
    }
    let sum = sum(piece, 4)?;
    let result = layer_norm(piece, &sum, &gamma, beta);
    piece.give(0, &result);
    piece.give(3, &sum);
    Some(())
}

/// `EmbedLayerNormalization`: rows of three tables, added and normalized.
pub(super) fn embed_layer_norm(piece: &mut Replacement<'_>) -> Option<()> {
    let [tokens, words, places] = [0, 2, 3].map(|place| piece.input(place));
    let (tokens, words, places) = (tokens?, words?, places?);
    let (gamma, beta) = (piece.input(5)?, piece.input(6));
    if piece.input(7).is_some() || piece.writes(1) {
        return None;
    }
    let positions = match piece.input(8) {
        Some(positions) => positions,
        None => {
            let count = piece.count_to(&tokens, 1);
            piece.unsqueeze(&count, 0)
        }
    };
    let words = piece.op("Gather", &[&words, &tokens], &[]);
    let places = piece.op("Gather", &[&places, &positions], &[]);
    let mut sum = piece.op("Add", &[&words, &places], &[]);
    if let (Some(segment), Some(table)) = (piece.input(1), piece.input(4)) {
        let segment = piece.op("Gather", &[&table, &segment], &[]);
        sum = piece.op("Add", &[&sum, &segment], &[]);
    }
    let result = layer_norm(piece, &sum, &gamma, beta);
    piece.give(0, &result);
    piece.give(2, &sum);
    Some(())
}

/// The sum of the first two inputs and a bias.
fn sum(piece: &mut Replacement<'_>, bias: usize) -> Option<String> {
    let (x, skip, bias) = (piece.input(0)?, piece.input(1)?, piece.input(bias));
    let sum = piece.op("Add", &[&x, &skip], &[]);
    Some(piece.plus(sum, bias))
}

fn root_mean_square(
    piece: &mut Replacement<'_>,
    x: &str,
    (scale, deviation): (usize, usize),
    epsilon: f32,
) -> Option<String> {
    let scale = piece.input(scale)?;
    // Only the last axis: no file is known that asks for more.
    if piece.int("axis").is_some_and(|axis| axis != -1 && piece.rank(x) != Some(axis as usize + 1))
    {
        return None;
    }
    let like = piece.input(0)?;
    let epsilon = piece.float("epsilon").unwrap_or(epsilon);
    let epsilon = piece.number(epsilon, &like);
    let square = piece.op("Mul", &[x, x], &[]);
    let mean = piece.mean_of_last(&square);
    let mean = piece.op("Add", &[&mean, &epsilon], &[]);
    let root = piece.op("Sqrt", &[&mean], &[]);
    let inverse = piece.op("Reciprocal", &[&root], &[]);
    let scaled = piece.op("Mul", &[x, &inverse], &[]);
    let result = piece.op("Mul", &[&scaled, &scale], &[]);
    piece.give(deviation, &inverse);
    Some(result)
}

fn layer_norm(piece: &mut Replacement<'_>, x: &str, gamma: &str, beta: Option<String>) -> String {
    let epsilon = piece.float("epsilon").unwrap_or(SMALL_EPSILON);
    let epsilon = piece.number(epsilon, gamma);
    let mean = piece.mean_of_last(x);
    let centred = piece.op("Sub", &[x, &mean], &[]);
    let square = piece.op("Mul", &[&centred, &centred], &[]);
    let variance = piece.mean_of_last(&square);
    let variance = piece.op("Add", &[&variance, &epsilon], &[]);
    let deviation = piece.op("Sqrt", &[&variance], &[]);
    let normal = piece.op("Div", &[&centred, &deviation], &[]);
    let scaled = piece.op("Mul", &[&normal, gamma], &[]);
    piece.plus(scaled, beta)
}
