//! Blind spots of a feed: equal values look right at any position.

use crate::engine::Output;
use crate::inputs::Feed;
use crate::tensor::Tensor;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A tensor whose elements are all equal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Blind {
    /// A feed.
    Feed {
        /// The input's name.
        name: String,
    },
    /// An output of the reference.
    Output {
        /// The output's name.
        name: String,
        /// The number of elements.
        elements: usize,
    },
}

impl Blind {
    /// The blind spot in words.
    pub fn words(&self) -> String {
        match self {
            Blind::Feed { name } => format!(
                "the feed `{name}` is constant: it cannot show whether elements are in the right places"
            ),
            Blind::Output { name, elements } => format!(
                "all {elements} elements of the reference's output `{name}` are equal: it cannot show whether elements are in the right places"
            ),
        }
    }
}

/// Finds the feeds and the reference's outputs whose elements are all equal.
pub fn find_blind(feeds: &[Feed], outputs: &[Output]) -> Vec<Blind> {
    let constant = feeds.iter().filter(|feed| is_constant(&feed.tensor));
    let fed = constant.map(|feed| Blind::Feed { name: feed.name.to_string() });
    let given = outputs.iter().filter(|output| is_constant(&output.tensor)).map(|output| {
        Blind::Output { name: output.name.to_string(), elements: output.tensor.len() }
    });
    fed.chain(given).collect()
}

/// Whether a tensor has several elements that are all the same, including NaN.
pub(super) fn is_constant(tensor: &Tensor) -> bool {
    if tensor.len() < 2 {
        return false;
    }
    let (bytes, size) = (tensor.bytes(), tensor.dtype().size());
    bytes.chunks_exact(size).all(|element| element == &bytes[..size])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_elements_are_told_and_single_ones_are_not() {
        let output = |values: &[f32]| Output {
            name: "y".into(),
            tensor: Tensor::from_f32(&[values.len()], values.to_vec()).unwrap(),
        };
        let blind = |values: &[f32]| find_blind(&[], &[output(values)]).len();
        assert_eq!(blind(&[3.0, 3.0]), 1);
        assert_eq!(blind(&[f32::NAN, f32::NAN]), 1);
        assert_eq!(blind(&[3.0]), 0);
        assert_eq!(blind(&[3.0, 3.0, 4.0]), 0);
    }
}
