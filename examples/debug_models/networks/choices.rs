//! Networks that end in a choice: classes of pixels, kept boxes. C1 and C2.

use super::weights::{between, floats, longs};
use offby::graph::{Attribute, Network};
use offby::inputs::Random;
use offby::tensor::Dtype::{F32, I64};

/// The end of a segmentation network: scores of six classes for each pixel, and the highest of them.
pub(super) fn segmentation() -> Network {
    let weight = between(&mut Random::new(31), -0.4, 0.4, 6 * 3 * 3 * 3);
    let (pads, axis) = (Attribute::Ints(vec![1; 4]), Attribute::Int(1));
    Network::new("segmentation")
        .input("input", F32, &[1, 3, 32, 32])
        .initializer("weight", &floats(&[6, 3, 3, 3], &weight))
        .node("/head/Conv", "Conv", &["input", "weight"], &["scores"], &[("pads", pads)])
        .node(
            "/ArgMax",
            "ArgMax",
            &["scores"],
            &["output"],
            &[("axis", axis), ("keepdims", Attribute::Int(0))],
        )
        .output("output", I64, &[1, 32, 32])
}

/// The end of a detector: 200 boxes and their scores; 40 boxes are kept.
pub(super) fn boxes(name: &str, center_point_box: i64) -> Network {
    const KEPT: usize = 40;
    let mut random = Random::new(36);
    let (boxes, scores) =
        (between(&mut random, -0.8, 0.8, 16 * 4), between(&mut random, -0.8, 0.8, 16));
    let perm = Attribute::Ints(vec![1, 0]);
    Network::new(name)
        .input("input", F32, &[200, 16])
        .initializer("boxes.weight", &floats(&[16, 4], &boxes))
        .initializer("scores.weight", &floats(&[16, 1], &scores))
        .initializer("first", &longs(&[0]))
        .initializer("kept", &longs(&[KEPT as i64]))
        .initializer("overlap", &floats(&[1], &[0.5]))
        .initializer("score", &floats(&[1], &[0.4]))
        .node("/boxes/MatMul", "MatMul", &["input", "boxes.weight"], &["boxes_1"], &[])
        .node("/boxes/Sigmoid", "Sigmoid", &["boxes_1"], &["boxes_2"], &[])
        .node("/boxes/Unsqueeze", "Unsqueeze", &["boxes_2", "first"], &["boxes"], &[])
        .node("/scores/MatMul", "MatMul", &["input", "scores.weight"], &["scores_1"], &[])
        .node("/scores/Sigmoid", "Sigmoid", &["scores_1"], &["scores_2"], &[])
        .node("/scores/Transpose", "Transpose", &["scores_2"], &["scores_3"], &[("perm", perm)])
        .node("/scores/Unsqueeze", "Unsqueeze", &["scores_3", "first"], &["scores"], &[])
        .node(
            "/NonMaxSuppression",
            "NonMaxSuppression",
            &["boxes", "scores", "kept", "overlap", "score"],
            &["output"],
            &[("center_point_box", Attribute::Int(center_point_box))],
        )
        .output("output", I64, &[KEPT, 3])
}
