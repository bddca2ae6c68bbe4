//! The committed debug networks: the same bytes as the generator's, and the seed's numbers in the reference.

#[allow(missing_docs, unreachable_pub, reason = "the example's own module")]
#[path = "../../examples/debug_models/networks/mod.rs"]
mod networks;

use offby::graph::{Model, ValueName};
use offby::inputs::{Normalization, draw, parse_inputs};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use tract_onnx::prelude::*;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("debug-models")
}

/// The values named `outputs` when each input of the model in `file` is fed with `spec`.
fn run_until(file: &str, spec: &str, outputs: &[&str]) -> Vec<Vec<f32>> {
    let model = Model::load(&folder().join(file)).unwrap();
    let named: Vec<String> =
        model.inputs().iter().map(|input| format!("{}={spec}", input.name)).collect();
    let named: Vec<&str> = named.iter().map(String::as_str).collect();
    let specs = parse_inputs(&named, model.inputs(), &Normalization::default()).unwrap();
    let feeds = draw(&model, &specs).unwrap().into_iter().map(|feed| {
        let offby::tensor::Tensor::F32(fed) = feed.tensor else { panic!("not f32") };
        Tensor::from_shape(fed.shape(), fed.as_slice().unwrap()).unwrap().into_tvalue()
    });
    let onnx = tract_onnx::onnx().model_for_read(&mut model.to_bytes().as_slice()).unwrap();
    let plan =
        onnx.into_typed().unwrap().with_outputs_by_name(outputs).unwrap().into_runnable().unwrap();
    let values = plan.run(feeds.collect()).unwrap();
    values
        .iter()
        .map(|value| {
            let numbers = value.cast_to::<f32>().unwrap();
            numbers.to_plain_array_view::<f32>().unwrap().iter().copied().collect()
        })
        .collect()
}

fn run(file: &str, spec: &str) -> Vec<f32> {
    let model = Model::load(&folder().join(file)).unwrap();
    let outputs: Vec<&str> = model.outputs().iter().map(ValueName::as_str).collect();
    run_until(file, spec, &outputs).remove(0)
}

/// Compares the element count, the first two and the last two values.
fn assert_preview(values: &[f32], count: usize, wanted: [f32; 4], tolerance: f32) {
    let [first, second, .., before, last] = values else { panic!("too few values") };
    assert_eq!(values.len(), count);
    for (got, wanted) in [first, second, before, last].into_iter().zip(wanted) {
        assert!((got - wanted).abs() <= tolerance, "{got} is not {wanted}");
    }
}

#[test]
fn the_committed_files_are_what_the_generator_makes() {
    let made: BTreeMap<&str, Vec<u8>> =
        networks::all().iter().map(|d| (d.file, d.network.to_bytes())).collect();
    for (file, bytes) in &made {
        assert!(bytes.len() < 1 << 20, "{file} is {} bytes", bytes.len());
        let committed = std::fs::read(folder().join(file)).unwrap();
        assert!(committed == *bytes, "{file} differs: run `just debug-models`");
    }
    let listed = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let stray: BTreeSet<String> = listed
        .filter(|name| name.ends_with(".onnx") && !made.contains_key(name.as_str()))
        .collect();
    assert!(stray.is_empty(), "no generator makes {stray:?}");
}

#[test]
fn the_table_names_every_file_and_case() {
    let table = std::fs::read_to_string(folder().join("README.md")).unwrap();
    for debug in networks::all() {
        let row = table
            .lines()
            .find(|line| line.contains(&format!("`{}`", debug.file)))
            .unwrap_or(debug.file);
        assert!(row.contains(&format!("| {} |", debug.case)), "{row}");
    }
}

#[test]
fn every_network_runs_on_seeded_input() {
    for debug in networks::all() {
        let values = run(debug.file, "normal:0");
        assert!(values.iter().all(|value| value.is_finite()), "{}", debug.file);
        assert!(
            values.len() == 1 || values.iter().any(|value| *value != values[0]),
            "{} gives one value everywhere",
            debug.file
        );
    }
}

#[test]
fn a1_batch_norm_spans_the_seeds_range_and_gelu_ends_exact() {
    let values = run_until(
        "efformer_mlp_gelu.onnx",
        "ones",
        &["/network/0/0/mlp/mid_norm/BatchNormalization_output_0", "output"],
    );
    assert_preview(&values[0], 401_408, [-72.4048, -72.4048, 3.8044, 3.8044], 1e-3);
    let low = values[0].iter().copied().fold(f32::INFINITY, f32::min);
    let high = values[0].iter().copied().fold(f32::NEG_INFINITY, f32::max);
    assert!((low + 72.4048).abs() < 1e-3 && (high - 3.8044).abs() < 1e-3, "{low} .. {high}");
    assert_preview(&values[1], 401_408, [0.0, 0.0, 3.80413, 3.80413], 1e-5);
    assert!(values[1][0].is_sign_negative(), "GELU of a large negative number is -0");
}

#[test]
fn a2_the_view_and_split_only_move_numbers() {
    let values = run("split_view.onnx", "arange");
    assert_preview(&values, 1024, [0.0, 1.0, 4046.0, 4047.0], 0.0);
    assert_preview(&run("split_view_small.onnx", "arange"), 256, [0.0, 1.0, 974.0, 975.0], 0.0);
}

#[test]
fn a3_a4_the_printed_sums_come_out() {
    assert_preview(
        &run("attention_bias.onnx", "ones"),
        153_664,
        [6.64336, 6.14926, 3.50332, 3.2117],
        1e-6,
    );
    assert_preview(
        &run("linear_bn.onnx", "ones"),
        50_176,
        [0.22279, -1.49101, -1.48576, 1.51551],
        1e-6,
    );
}

#[test]
fn a5_to_a7_every_layer_gives_the_printed_values() {
    let layers = [
        ("efformer_mlp_1.onnx", 401_408, [0.545583, 0.545583, -6.11306, -6.11306]),
        ("efformer_mlp_2.onnx", 401_408, [9.74586, 10.3657, 3.49701, 3.49701]),
        ("efformer_mlp_3.onnx", 100_352, [1.05672, 1.14461, -0.517402, -1.34904]),
    ];
    for (file, count, wanted) in layers {
        assert_preview(&run(file, "ones"), count, wanted, 1e-5);
    }
}

#[test]
fn a8_the_group_norm_normalizes() {
    let name = "/layer_5/1/global_rep/0/pre_norm_attn/0/Reshape_1_output_0";
    // The preview is onnxruntime 1.31's.
    assert_preview(
        &run("group_norm.onnx", "ones"),
        8192,
        [0.275885, 0.398833, 0.555621, 0.239119],
        1e-5,
    );
    let values = run_until("group_norm.onnx", "ones", &[name]).remove(0);
    let count = values.len() as f64;
    let mean = values.iter().map(|v| f64::from(*v)).sum::<f64>() / count;
    let variance = values.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / count;
    assert_eq!(values.len(), 8192);
    assert!(mean.abs() < 1e-4 && (variance - 1.0).abs() < 1e-3, "{mean} {variance}");
}

#[test]
fn a11_ones_are_pooled_to_the_sum_of_the_weights() {
    // The preview is onnxruntime 1.31's.
    assert_preview(
        &run("resnet50_head.onnx", "ones"),
        10,
        [-0.899086, 1.08454, -0.982995, -2.57937],
        1e-5,
    );
}
