//! Cut from ResNet-50 (timm): the head after the last stage.

use super::weights::{between, floats};
use offby::graph::{Attribute, Network};
use offby::inputs::Random;
use offby::tensor::Dtype::F32;

const FEATURES: usize = 2048;
/// Reduced from 1000 to keep the file small.
const CLASSES: usize = 10;

/// A11: global average pooling of 1x2048x7x7, flattening, and a classifier.
pub(super) fn head() -> Network {
    let mut random = Random::new(11);
    let weight = between(&mut random, -0.05, 0.05, CLASSES * FEATURES);
    let bias = between(&mut random, -0.1, 0.1, CLASSES);
    let (pooled, flat) =
        ("/global_pool/pool/GlobalAveragePool_output_0", "/global_pool/flatten/Flatten_output_0");
    let gemm = [
        ("alpha", Attribute::Float(1.0)),
        ("beta", Attribute::Float(1.0)),
        ("transB", Attribute::Int(1)),
    ];
    Network::new("resnet50_head")
        .input("input", F32, &[1, FEATURES, 7, 7])
        .initializer("fc.weight", &floats(&[CLASSES, FEATURES], &weight))
        .initializer("fc.bias", &floats(&[CLASSES], &bias))
        .node(
            "/global_pool/pool/GlobalAveragePool",
            "GlobalAveragePool",
            &["input"],
            &[pooled],
            &[],
        )
        .node(
            "/global_pool/flatten/Flatten",
            "Flatten",
            &[pooled],
            &[flat],
            &[("axis", Attribute::Int(1))],
        )
        .node("/fc/Gemm", "Gemm", &[flat, "fc.weight", "fc.bias"], &["output"], &gemm)
        .output("output", F32, &[1, CLASSES])
}
