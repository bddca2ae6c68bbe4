//! Seeded numbers as tensors.

use offby::inputs::Random;
use offby::tensor::{Dtype, Tensor};

/// `count` numbers evenly spread over `low .. high`.
pub(super) fn between(random: &mut Random, low: f64, high: f64, count: usize) -> Vec<f32> {
    (0..count).map(|_| (low + (high - low) * random.unit()) as f32).collect()
}

/// A tensor of the numbers, which must fill the shape.
pub(super) fn floats(shape: &[usize], numbers: &[f32]) -> Tensor {
    Tensor::from_f32(shape, numbers.to_vec()).expect("each network gives a shape its numbers fill")
}

/// A one-dimensional tensor of integers, the form of shapes and sizes for operators.
pub(super) fn longs(numbers: &[i64]) -> Tensor {
    let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    Tensor::from_bytes(Dtype::I64, &[numbers.len()], &bytes)
        .expect("eight bytes are given for each number")
}
