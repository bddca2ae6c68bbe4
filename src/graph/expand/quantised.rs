//! Operators of ONNX Runtime that read and write integers with a scale: the same in numbers, between a dequantisation
//! and a quantisation.

use super::replacement::Replacement;

/// `QLinearAdd` and `QLinearMul`.
pub(super) fn of_two(piece: &mut Replacement<'_>) -> Option<()> {
    let op_type = piece.node.op_type.strip_prefix("QLinear")?.to_owned();
    let (a, b) = (number(piece, 0)?, number(piece, 3)?);
    let result = piece.op(&op_type, &[&a, &b], &[]);
    written(piece, &result, 6)
}

/// `QLinearSigmoid`, `QLinearLeakyRelu`, `QLinearAveragePool` and `QLinearGlobalAveragePool`. Not `QLinearSoftmax`: ONNX
/// Runtime adds up exponentials from a table, and its result may be a step away from the definition.
pub(super) fn of_one(piece: &mut Replacement<'_>) -> Option<()> {
    const KEPT: [&str; 7] =
        ["alpha", "auto_pad", "ceil_mode", "count_include_pad", "kernel_shape", "pads", "strides"];
    let op_type = piece.node.op_type.strip_prefix("QLinear")?.to_owned();
    if piece.int("channels_last").unwrap_or(0) != 0 {
        return None;
    }
    let x = number(piece, 0)?;
    let kept = piece.kept(&KEPT);
    let result = piece.op(&op_type, &[&x], &kept);
    written(piece, &result, 3)
}

/// `QLinearConcat`.
pub(super) fn concat(piece: &mut Replacement<'_>) -> Option<()> {
    let axis = piece.int("axis")?;
    let places = (2..piece.node.input.len()).step_by(3);
    let parts = places.map(|place| number(piece, place)).collect::<Option<Vec<_>>>()?;
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let result = piece.concat(&parts, axis);
    written(piece, &result, 0)
}

/// The numbers that an input stands for, with its scale and zero in the places after it.
fn number(piece: &mut Replacement<'_>, place: usize) -> Option<String> {
    let mut inputs = vec![piece.input(place)?, piece.input(place + 1)?];
    inputs.extend(piece.input(place + 2));
    let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
    Some(piece.op("DequantizeLinear", &inputs, &[]))
}

/// Writes the first output as integers, with the scale and zero in these places.
fn written(piece: &mut Replacement<'_>, value: &str, place: usize) -> Option<()> {
    // The zero says the type of the integers.
    let (scale, zero) = (piece.input(place)?, piece.input(place + 1)?);
    let result = piece.op("QuantizeLinear", &[value, &scale, &zero], &[]);
    piece.give(0, &result);
    Some(())
}
