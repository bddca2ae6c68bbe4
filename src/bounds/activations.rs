//! Activations in 8 bits: what engines make of them before they multiply by weights that are stored as integers.
//!
//! Each group of elements has a scale of its own, the largest magnitude over 127. ONNX Runtime's `MatMulNBits` and
//! OpenVINO's dynamic quantization do this by default, in groups of 32 elements. Both were measured to the last bit
//! on networks of one product: ONNX Runtime 1.32 multiplies by 127 over the largest magnitude, and OpenVINO 2026.4 by
//! the reciprocal of the scale. Both round ties to even.

use crate::tensor::Tensor;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The largest magnitude in 8 bits with a sign, if the range is symmetric.
const MOST: f32 = 127.0;

/// The sizes of groups that engines offer, the default first.
const GROUPS: [usize; 5] = [32, 64, 128, 256, 16];

/// How an engine quantizes activations while it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Activations {
    /// The number of consecutive elements that share a scale; absent if a whole row shares one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<usize>,
    /// How an element becomes an integer.
    pub step: StepBy,
}

/// How an element becomes an integer. The ways differ in ties only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StepBy {
    /// It is multiplied by 127 over the largest magnitude.
    Inverse,
    /// It is multiplied by the reciprocal of the scale.
    Reciprocal,
}

/// The products whose activations an engine quantizes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Products {
    /// All products by integer weights, as OpenVINO does.
    All,
    /// Only those that write outputs of the network, as ONNX Runtime 1.32 does.
    WritingOutputs,
}

impl Products {
    /// All of them, the most products first.
    pub const ALL: [Products; 2] = [Products::All, Products::WritingOutputs];
}

impl Activations {
    /// The ways that engines use, the most likely first, for rows of this length.
    pub fn ways(row: usize) -> impl Iterator<Item = Activations> {
        // A group that covers the row is the row.
        let groups = GROUPS.into_iter().filter(move |&group| group < row).map(Some).chain([None]);
        groups.flat_map(|group| {
            [StepBy::Inverse, StepBy::Reciprocal].map(|step| Activations { group, step })
        })
    }

    /// The values that the engine multiplies instead of these. Other element types than `f32` stay unchanged.
    pub fn quantize(self, tensor: &Tensor) -> Tensor {
        let Tensor::F32(array) = tensor else { return tensor.clone() };
        let row = tensor.shape().last().copied().unwrap_or(1).max(1);
        let mut numbers: Vec<f32> = array.iter().copied().collect();
        for row in numbers.chunks_mut(row) {
            let group = self.group.unwrap_or(row.len());
            row.chunks_mut(group).for_each(|group| self.quantize_group(group));
        }
        Tensor::from_f32(tensor.shape(), numbers).unwrap_or_else(|_| tensor.clone())
    }

    fn quantize_group(self, group: &mut [f32]) {
        let most = group.iter().fold(0.0f32, |most, value| most.max(value.abs()));
        let scale = most / MOST;
        if scale == 0.0 || !scale.is_finite() {
            return;
        }
        let factor = match self.step {
            StepBy::Inverse => MOST / most,
            StepBy::Reciprocal => 1.0 / scale,
        };
        group.iter_mut().for_each(|value| *value = (*value * factor).round_ties_even() * scale);
    }

    /// The quantization in words.
    pub fn words(self) -> String {
        match self.group {
            Some(group) => format!("8 bits (one scale for {group} elements)"),
            None => "8 bits (one scale for a row)".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quantized(group: Option<usize>, numbers: &[f32]) -> Vec<f64> {
        let tensor = Tensor::from_f32(&[1, numbers.len()], numbers.to_vec()).unwrap();
        Activations { group, step: StepBy::Reciprocal }.quantize(&tensor).numbers(1)
    }

    #[test]
    fn each_group_has_its_own_scale() {
        assert_eq!(quantized(None, &[127.0, 0.4, 0.6, -1.5]), [127.0, 0.0, 1.0, -2.0]);
        assert_eq!(quantized(Some(2), &[127.0, 0.4, 0.0, 0.0]), [127.0, 0.0, 0.0, 0.0]);
        let [large, _, small, _] = quantized(Some(2), &[127.0, 0.4, 0.5, 0.25])[..] else {
            panic!()
        };
        assert_eq!((large, small), (127.0, 0.5));
    }

    #[test]
    fn short_rows_have_one_group() {
        assert_eq!(Activations::ways(16).count(), 2);
        assert_eq!(Activations::ways(64).count(), 6);
    }
}
