//! Verdicts compared with the truth: networks whose right values have an independent source, and the required
//! verdicts of `offby run` and `offby walk` for each engine.
//!
//! `tests/truth/README.md` lists each network, its right values, and the wrong engines. The tables follow from
//! that list and never from offby's output. A test collects all its breaches before it fails.

use crate::support::{debug_model, finish, first_target, need, offby};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// The kinds that a verdict may have.
type Kinds = &'static [&'static str];

const AGREES: Kinds = &["agrees"];
/// Right, even if the reference is wrong.
const RIGHT: Kinds = &["agrees", "explained", "reference_wrong"];
/// Wrong by more than rounding.
const WRONG: Kinds = &["divergent", "nonfinite", "converter", "cpu_kernel"];
/// Wrong by more than rounding, or from run to run.
const UNSTABLE: Kinds = &["divergent", "nonfinite", "converter", "cpu_kernel", "nondeterministic"];
const CONVERTER: Kinds = &["converter"];
const CPU_KERNEL: Kinds = &["cpu_kernel"];
const DIVERGENT: Kinds = &["divergent"];
/// The outputs cost more than the tolerance, and every operator does what the engine declares or is known to do.
const PRECISION: Kinds = &["precision"];
const DISPUTED: Kinds = &["disputed"];
const REFERENCE_WRONG: Kinds = &["reference_wrong"];
const REJECTED: Kinds = &["rejected"];
const INCONCLUSIVE: Kinds = &["inconclusive"];
const CRASHED: Kinds = &["crashed"];
const WRONG_OR_CRASHED: Kinds = &["divergent", "crashed"];
/// The target cannot be walked.
const NO_WALK: Kinds = &[];

const MNN: &str = "mnn:cpu mnn:vulkan:high mnn:opencl:high";
const GPU: &str = "mnn:vulkan:high mnn:opencl:high";
const CPU: &str = "mnn:cpu";
const VULKAN: &str = "mnn:vulkan:high";
const OPENCL: &str = "mnn:opencl:high";
const ORT: &str = "ort:cpu";
const ALL: &str = "mnn:cpu mnn:vulkan:high mnn:opencl:high ort:cpu";

const EDITED: &str = "--input normal:1 --mnn tests/truth/t03_edited/edited.mnn";
const EDITED_CUT: &str = "--input normal:1 --mnn tests/truth/t03_edited/edited.mnn --strategy cut";
const EDITED_ISOLATE: &str =
    "--input normal:1 --mnn tests/truth/t03_edited/edited.mnn --strategy isolate";
const GELU: &str = "--input normal:1";
const GELU_ALLOWED: &str = "--input normal:1 --allow-converter 2e-4";
const GELU_NOT_ALLOWED: &str = "--input normal:1 --allow-converter 1e-6";
const CUT: &str = "--strategy cut";
const ISOLATE: &str = "--strategy isolate";
const BY_ORT: &str = "--reference ort:cpu";
const BY_F64: &str = "--reference tract:f64";

/// The network, more arguments, targets, the allowed kinds of `run` and of `walk`, and demands on the walk's
/// words. `a|b` demands one of two words, and `!a` forbids a word. `@a,b` are all nodes that the walk accuses,
/// and `?a,b` are nodes that it may accuse. For a right target the walk must accuse no node.
type Row = (&'static str, &'static str, &'static str, Kinds, Kinds, &'static [&'static str]);

/// Networks that only tract computes or computed wrongly, and other wrong engines.
const REFEREES: &[Row] = &[
    ("h05b", "", ORT, AGREES, NO_WALK, &[]),
    ("h05b", "", MNN, WRONG, WRONG, &["GridSample"]),
    ("h07b", "", "mnn:vulkan:high ort:cpu", AGREES, AGREES, &[]),
    ("h07b", "", "mnn:cpu mnn:opencl:high", WRONG, WRONG, &["relu_r", "20 of 64 elements wrong"]),
    ("h09c", "", ORT, RIGHT, NO_WALK, &[]),
    ("h09c", "", MNN, REJECTED, REJECTED, &["Attention"]),
    // MNN orders equal scores differently; the rows behind them are also equal.
    ("h12b", "", ALL, AGREES, AGREES, &["?v,topk_v"]),
    ("h16b", "", ALL, RIGHT, RIGHT, &[]),
    ("h40", "", MNN, AGREES, AGREES, &[]),
    ("h40", "", ORT, EXPLAINED, NO_WALK, &[]),
    ("h42", "", "mnn:cpu ort:cpu", AGREES, AGREES, &[]),
    ("h42", "", GPU, WRONG, WRONG, &["y_raster_0|reducemax_y"]),
    ("h44", "", ALL, AGREES, AGREES, &[]),
    ("t02_log_sum_exp", "", ORT, AGREES, NO_WALK, &[]),
    ("t02_relu_nan", "", ORT, AGREES, NO_WALK, &[]),
    ("t12_log_softmax", "", ORT, AGREES, NO_WALK, &[]),
    ("t12_layer_norm", "", ORT, RIGHT, NO_WALK, &[]),
    // 2.741 is tract's wrong value, and ONNX Runtime is nearer.
    ("t12_layer_norm", "", CPU, RIGHT, RIGHT, &["!where 2.741"]),
    ("t13_cast", "", ALL, DISPUTED, DISPUTED, &["@"]),
    ("t14_gather_nd", "", ORT, AGREES, NO_WALK, &[]),
];

/// Engines that are wrong because of their converter, their CPU or their GPU.
const ENGINES: &[Row] = &[
    ("h01b", "", ORT, AGREES, NO_WALK, &[]),
    ("h01b", "", MNN, WRONG, CPU_KERNEL, &["QuantizeLinear", "CPU kernel"]),
    ("h08c", "", ORT, AGREES, NO_WALK, &[]),
    ("h08c", "", "mnn:cpu mnn:opencl:high", WRONG, CPU_KERNEL, &["CPU kernel", "Round|Mod"]),
    // Vulkan's Round is right; only its Mod is wrong.
    ("h08c", "", VULKAN, WRONG, WRONG, &["mod_fm"]),
    ("h24", "", ORT, AGREES, NO_WALK, &[]),
    // The converter writes no sizes, and the kernel then divides evenly: the walk may name either.
    ("h24", "", MNN, WRONG, WRONG, &["converter|CPU kernel", "split_a|reduce"]),
    ("h31", "", ORT, AGREES, NO_WALK, &[]),
    // An activation is written over its input, which is an output as well.
    ("t32_overwritten", "", ORT, AGREES, AGREES, &[]),
    ("t32_overwritten", "", CPU, WRONG, WRONG, &["looks like the output `b2`"]),
    // ONNX Runtime quantizes activations by default: no kernel of its is wrong.
    ("t33_int8_weights", "", ORT, PRECISION, NO_WALK, &[]),
    ("t33_int8_weights", CUT, ORT, PRECISION, PRECISION, &["@", "8 bits (one scale for 32"]),
    ("t33_int8_weights", "", MNN, AGREES, AGREES, &["@"]),
    ("h31", "", MNN, WRONG, WRONG, &["argmax_b|topk_v"]),
    (
        "t01_softmax",
        "--input normal:1",
        "mnn:vulkan:high mnn:opencl:high ort:cpu",
        AGREES,
        AGREES,
        &[],
    ),
    ("t01_softmax", "--input normal:1", CPU, WRONG, CPU_KERNEL, &["CPU kernel", "Softmax"]),
    ("t02_round", "", CPU, WRONG, CPU_KERNEL, &["CPU kernel", "Round"]),
    ("t02_round", "", "mnn:vulkan:high ort:cpu", AGREES, AGREES, &[]),
    ("t02_log_sum_exp", "", CPU, WRONG, CPU_KERNEL, &["CPU kernel", "ReduceLogSumExp"]),
    ("t02_relu_nan", "", CPU, WRONG, CPU_KERNEL, &["CPU kernel", "Relu"]),
    ("t02_top_k", "", CPU, WRONG, CPU_KERNEL, &["CPU kernel", "TopK"]),
    ("t02_top_k", "", ORT, AGREES, NO_WALK, &[]),
    ("t03_edited", EDITED, MNN, DIVERGENT, CONVERTER, &["`conv2`", "`w2`"]),
    ("efformer_mlp_2", GELU, MNN, DIVERGENT, CONVERTER, &["converter", "!rounding"]),
    ("efformer_mlp_2", GELU_ALLOWED, VULKAN, RIGHT, RIGHT, &["converter"]),
    ("efformer_mlp_2", GELU_NOT_ALLOWED, VULKAN, WRONG, WRONG, &["converter"]),
    ("t14_gather_nd", "", MNN, WRONG, WRONG, &["GatherND"]),
];

/// The strategies that search from outside: which nodes they accuse.
const STRATEGIES: &[Row] = &[
    ("t03_edited", EDITED_CUT, CPU, DIVERGENT, INCONCLUSIVE, &["@"]),
    ("h05b", CUT, ORT, AGREES, AGREES, &[]),
    ("h07b", CUT, CPU, WRONG, WRONG, &["@relu_r"]),
    ("h07b", ISOLATE, CPU, WRONG, WRONG, &["@relu_r"]),
    ("h08c", ISOLATE, CPU, WRONG, WRONG, &["@mod_fm,round_r"]),
    ("h09c", CUT, ORT, RIGHT, RIGHT, &[]),
    ("h09c", ISOLATE, ORT, RIGHT, RIGHT, &[]),
    ("h12b", CUT, ALL, AGREES, AGREES, &["?topk_v"]),
    ("h12b", ISOLATE, ALL, AGREES, AGREES, &["?topk_v"]),
    // An output of an f16 network is stored in f16, and its squares overflow f16.
    ("h16b", CUT, "mnn:cpu ort:cpu", RIGHT, RIGHT, &["?reducemean_va"]),
    ("h16b", ISOLATE, "mnn:cpu ort:cpu", RIGHT, RIGHT, &[]),
    ("h31", CUT, CPU, WRONG, WRONG, &["@argmax_b"]),
    ("h40", CUT, MNN, AGREES, AGREES, &[]),
    ("h40", ISOLATE, ORT, EXPLAINED, EXPLAINED, &["?sigmoid_y"]),
    ("h42", CUT, VULKAN, WRONG, WRONG, &["@reducemax_y"]),
    ("h42", ISOLATE, VULKAN, WRONG, WRONG, &["@reducemax_y"]),
    ("h44", CUT, "mnn:cpu ort:cpu", AGREES, AGREES, &[]),
    ("h44", ISOLATE, "mnn:cpu ort:cpu", AGREES, AGREES, &[]),
    ("t01_softmax", "--input normal:1 --strategy cut", GPU, AGREES, AGREES, &[]),
    ("t01_softmax", "--input normal:1 --strategy cut", CPU, WRONG, WRONG, &["@y_Softmax"]),
    ("t02_round", CUT, CPU, WRONG, WRONG, &["@y_Round"]),
    ("t02_round", ISOLATE, CPU, WRONG, WRONG, &["@y_Round"]),
    ("t02_log_sum_exp", ISOLATE, CPU, WRONG, WRONG, &["@y_ReduceLogSumExp"]),
    ("t12_log_softmax", ISOLATE, ORT, AGREES, AGREES, &[]),
    // A ready file is the whole network: its nodes cannot run alone.
    ("t03_edited", EDITED_ISOLATE, CPU, DIVERGENT, INCONCLUSIVE, &["none of", "@"]),
    ("t12_layer_norm", CUT, ORT, RIGHT, RIGHT, &[]),
    ("t12_layer_norm", ISOLATE, ORT, RIGHT, RIGHT, &[]),
    ("t13_cast", CUT, CPU, DISPUTED, DISPUTED, &["@"]),
];

const O16: &str = "sim:tests/truth/t06_outlier/device.yaml";
const ONE: &str = "sim:tests/truth/t07_one_element/device.yaml";
const LARGE: &str = "sim:tests/truth/t08_large/device.yaml";
const BIAS: &str = "sim:tests/truth/t09_bias/device.yaml";
const SUB: &str = "sim:tests/truth/t10_cancellation/device.yaml";
const LAST_PLACE: &str = "sim:tests/truth/t21_chaos/device.yaml";
const FLUSH: &str = "sim:tests/truth/t21_flush/device.yaml";
const HALF: &str = "sim:honest-f16";
const CUT_OFF: &str = "sim:honest-f16-toward-zero";
const SIGMOID: &str = "sim:tests/truth/h34/device.yaml";
const NARROW: &str = "sim:honest-f16 sim:honest-f16-toward-zero sim:honest-bf16";
const EXPLAINED: Kinds = &["explained"];
const NONFINITE: Kinds = &["nonfinite"];
const NORMAL: &str = "--input normal:1";
const NORMAL_ISOLATE: &str = "--input normal:1 --strategy isolate";
const ARANGE: &str = "--input arange";
const OVERFLOW_ALLOWED: &str = "--input arange --allow-overflow";
const UNIFORM: &str = "--input uniform:0.1,0.9,1";

/// Errors that a norm over the whole tensor hides, and honest rounding that exceeds the norm.
const ELEMENTS: &[Row] = &[
    ("t06_outlier", "", O16, DIVERGENT, DIVERGENT, &["@a_Relu"]),
    ("t06_outlier", CUT, O16, DIVERGENT, DIVERGENT, &["@a_Relu", "!the whole agrees"]),
    ("t06_outlier", ISOLATE, O16, DIVERGENT, DIVERGENT, &["@a_Relu"]),
    ("t07_one_element", NORMAL, ONE, DIVERGENT, DIVERGENT, &["@a_Relu", "1 of 400000 elements"]),
    ("t07_one_element", NORMAL_ISOLATE, ONE, DIVERGENT, DIVERGENT, &["@a_Relu"]),
    ("t08_large", "", LARGE, DIVERGENT, DIVERGENT, &["@a_MatMul"]),
    ("t08_large", CUT, LARGE, DIVERGENT, DIVERGENT, &["@a_MatMul"]),
    ("t08_large", ISOLATE, LARGE, DIVERGENT, DIVERGENT, &["@a_MatMul"]),
    ("t09_bias", "", BIAS, DIVERGENT, DIVERGENT, &["@y_Add"]),
    ("t09_bias", CUT, BIAS, DIVERGENT, DIVERGENT, &["@y_Add"]),
    ("t09_bias", ISOLATE, BIAS, DIVERGENT, DIVERGENT, &["@y_Add"]),
    ("t09_bias", "", NARROW, RIGHT, RIGHT, &["@"]),
    ("t10_cancellation", "", SUB, DIVERGENT, DIVERGENT, &["@a_Sub"]),
    ("t10_cancellation", ISOLATE, SUB, DIVERGENT, DIVERGENT, &["@a_Sub"]),
    ("t18_overflow", ARANGE, HALF, NONFINITE, NONFINITE, &["@y_Mul", "largest value of f16"]),
    ("t18_overflow", ARANGE, CUT_OFF, DIVERGENT, DIVERGENT, &["@y_Mul", "largest value of f16"]),
    ("t18_overflow", OVERFLOW_ALLOWED, HALF, RIGHT, RIGHT, &["@", "accepted"]),
    ("t18_overflow", OVERFLOW_ALLOWED, CUT_OFF, RIGHT, RIGHT, &["@", "accepted"]),
    ("t20_zero_sum", "", NARROW, EXPLAINED, EXPLAINED, &["@", "amplifies rounding"]),
    ("t20_zero_sum", "", "mnn:vulkan:low", EXPLAINED, EXPLAINED, &["@"]),
    ("h34", "", "sim:honest-f16 mnn:vulkan:low", EXPLAINED, EXPLAINED, &["@", "near a threshold"]),
    ("h34", "", MNN, RIGHT, RIGHT, &["@"]),
    ("h34", "", SIGMOID, DIVERGENT, DIVERGENT, &["@sigmoid_p"]),
    // The device is one unit off in every product: a walk names the products, but the outputs are excused.
    ("t21_chaos", UNIFORM, LAST_PLACE, EXPLAINED, NO_WALK, &[]),
    ("t21_chaos", UNIFORM, NARROW, EXPLAINED, EXPLAINED, &["@"]),
    // Every operator is right: the device stores the input as zeros.
    ("t21_flush", "", FLUSH, DIVERGENT, DIVERGENT, &["@", "storing the input"]),
];

/// Other references than tract in `f32`.
const REFERENCES: &[Row] = &[
    ("h05b", BY_ORT, MNN, WRONG, WRONG, &["GridSample"]),
    ("h07b", BY_ORT, VULKAN, AGREES, AGREES, &[]),
    ("h07b", BY_ORT, CPU, WRONG, WRONG, &["relu_r"]),
    ("h09c", BY_F64, ORT, RIGHT, NO_WALK, &[]),
    ("h12b", BY_ORT, MNN, AGREES, AGREES, &["?v,topk_v"]),
    ("h16b", BY_F64, ALL, RIGHT, RIGHT, &[]),
    ("h40", BY_ORT, MNN, REFERENCE_WRONG, REFERENCE_WRONG, &["sigmoid_y"]),
    ("h40", BY_F64, MNN, AGREES, AGREES, &[]),
    ("h40", BY_F64, ORT, EXPLAINED, NO_WALK, &[]),
    ("h42", BY_ORT, CPU, AGREES, AGREES, &[]),
    ("h42", BY_ORT, VULKAN, WRONG, WRONG, &[]),
    ("h44", BY_ORT, MNN, AGREES, AGREES, &[]),
    ("h44", BY_F64, ALL, AGREES, AGREES, &[]),
    ("t02_round", BY_ORT, CPU, WRONG, CPU_KERNEL, &["CPU kernel", "Round"]),
    ("t02_round", BY_ORT, VULKAN, AGREES, AGREES, &[]),
    ("t02_log_sum_exp", BY_F64, ORT, AGREES, NO_WALK, &[]),
    ("t02_relu_nan", BY_F64, ORT, AGREES, NO_WALK, &[]),
    ("t12_log_softmax", BY_F64, ORT, AGREES, NO_WALK, &[]),
    ("t12_layer_norm", BY_F64, ORT, RIGHT, NO_WALK, &[]),
    ("t14_gather_nd", BY_F64, ORT, AGREES, NO_WALK, &[]),
    ("t14_gather_nd", BY_ORT, OPENCL, WRONG, WRONG, &["GatherND"]),
];

/// Parts of networks from packages: control flow by MNN's Module API, shapes from files, values near 0.
const REAL: &[Row] = &[
    ("z_gru", "", CPU, AGREES, AGREES, &["@"]),
    ("z_gru", "", GPU, DIVERGENT, DIVERGENT, &["@", "reads other values than"]),
    ("z_gru", "", ORT, AGREES, NO_WALK, &[]),
    ("z_if", "", MNN, AGREES, AGREES, &["@"]),
    ("z_if", "", ORT, AGREES, NO_WALK, &[]),
    ("z_conv1d_gelu", "", CPU, DIVERGENT, CPU_KERNEL, &["CPU kernel"]),
    ("z_conv1d_gelu", "", GPU, AGREES, AGREES, &["@"]),
    ("z_conv1d_gelu", "", ORT, AGREES, NO_WALK, &[]),
    ("z_sigmoid_map", "", ALL, RIGHT, RIGHT, &["@"]),
    ("z_log_small", "", GPU, DIVERGENT, DIVERGENT, &["@y"]),
    ("z_log_small", "", CPU, AGREES, AGREES, &["@"]),
    ("z_squeeze", "", ALL, AGREES, AGREES, &["@"]),
    ("z_double", "", ALL, RIGHT, RIGHT, &["@"]),
    ("z_open_shape", "", ALL, AGREES, AGREES, &["@"]),
    ("z_softmax_33", "", VULKAN, DIVERGENT, DIVERGENT, &["Softmax"]),
    ("z_softmax_33", "", "mnn:cpu mnn:opencl:high ort:cpu", AGREES, AGREES, &["@"]),
];

/// Public reports about networks that did not load or did not run: with the reference, each runs or is refused with
/// the right reason.
const LOADING: &[Row] = &[
    ("h01", "", ORT, AGREES, NO_WALK, &[]),
    ("h01", "", MNN, WRONG, CONVERTER, &["@", "no output `y`"]),
    ("h02", "", ORT, AGREES, NO_WALK, &[]),
    ("h06", "", ORT, AGREES, NO_WALK, &[]),
    ("h06", "", MNN, REJECTED, REJECTED, &["cannot compute the shape"]),
    // ONNX leaves open whether ReduceMax keeps NaN, and ONNX Runtime keeps some of them.
    ("h07", "", ORT, DISPUTED, NO_WALK, &[]),
    ("h07", "", CPU, WRONG, WRONG, &["Relu"]),
    ("h08b", "", ORT, AGREES, NO_WALK, &[]),
    ("h08b", "", MNN, REJECTED, REJECTED, &["32 bits|i32"]),
    ("h09", "", ORT, AGREES, NO_WALK, &[]),
    ("h09", "", MNN, REJECTED, REJECTED, &["IsNaN"]),
    ("h10", "", ORT, AGREES, NO_WALK, &[]),
    ("h10", "", CPU, AGREES, AGREES, &[]),
    ("h10", "", GPU, DIVERGENT, DIVERGENT, &[]),
    ("h11b", "", ORT, AGREES, NO_WALK, &[]),
    ("h14", "", ORT, AGREES, NO_WALK, &[]),
    ("h14", "", CPU, AGREES, AGREES, &[]),
    ("h14", "", OPENCL, DIVERGENT, DIVERGENT, &[]),
    // A thread of llvmpipe dies in some runs of this loop, and in one of three if they are tapped.
    ("h14", "", VULKAN, WRONG_OR_CRASHED, NO_WALK, &[]),
    ("h14b", "", ALL, AGREES, AGREES, &[]),
    ("h15", "", ORT, AGREES, NO_WALK, &[]),
    ("h15", "", MNN, DIVERGENT, WRONG, &["shape"]),
    ("h15b", "", "mnn:cpu mnn:vulkan:high ort:cpu", AGREES, AGREES, &[]),
    ("h15b", "", OPENCL, DIVERGENT, DIVERGENT, &["!what was there before"]),
    ("h21b", "", ORT, AGREES, NO_WALK, &[]),
    ("h21b", "", MNN, DIVERGENT, WRONG, &["shape"]),
    ("h21c", "", ALL, AGREES, AGREES, &[]),
    ("h23", "", ALL, AGREES, AGREES, &[]),
    ("h25", "", ORT, AGREES, NO_WALK, &[]),
    ("h25", "", CPU, WRONG, WRONG, &["ScatterND|GatherND"]),
    // MNN reads before the data for a negative index: what is there may change from run to run.
    ("h25", "", GPU, UNSTABLE, UNSTABLE, &[]),
    ("h26", "", ORT, AGREES, NO_WALK, &[]),
    // MNN has none of these operators; in ONNX's own, its converter makes its known approximation of the GELU.
    ("h26", "", MNN, DIVERGENT, CONVERTER, &["gelu"]),
    ("h44b", "", ALL, AGREES, AGREES, &[]),
    ("h45", "", ORT, AGREES, NO_WALK, &[]),
    ("h45", "", MNN, CRASHED, CRASHED, &[]),
    ("h53", "", ORT, AGREES, NO_WALK, &[]),
    ("h53", "", MNN, AGREES, AGREES, &[]),
    ("h54", "", ALL, AGREES, AGREES, &[]),
];

/// Words that are absurd in every finding.
const ABSURD: &[&str] = &["error of 0.00e0", "up to 0.00e0 apart", "unwritten memory"];

#[test]
#[ignore = "needs Vulkan, OpenCL and ONNX Runtime"]
fn referees_find_the_one_that_is_wrong() {
    hold(REFEREES);
}

#[test]
#[ignore = "needs Vulkan, OpenCL and ONNX Runtime"]
fn run_and_walk_agree_on_engines_that_are_wrong() {
    hold(ENGINES);
}

#[test]
#[ignore = "needs Vulkan, OpenCL and ONNX Runtime"]
fn strategies_accuse_the_guilty_and_nobody_else() {
    hold(STRATEGIES);
}

#[test]
#[ignore = "needs Vulkan, OpenCL and ONNX Runtime"]
fn elements_decide_and_no_norm_over_them() {
    hold(ELEMENTS);
}

#[test]
#[ignore = "needs Vulkan, OpenCL and ONNX Runtime"]
fn networks_of_packages_are_run_and_walked() {
    hold(REAL);
}

#[test]
#[ignore = "needs Vulkan, OpenCL and ONNX Runtime"]
fn networks_of_reports_load() {
    hold(LOADING);
}

#[test]
#[ignore = "needs Vulkan, OpenCL and ONNX Runtime"]
fn another_reference_changes_nothing_about_who_is_right() {
    hold(REFERENCES);
}

/// The coarser of two formats sets the tolerance: a target in `f32` agrees with `f64`.
#[test]
fn tract_agrees_with_itself_in_f64() {
    let mut networks: Vec<PathBuf> = files(&debug_model(""), "onnx");
    networks.sort();
    let mut breaches = Vec::new();
    for network in &networks {
        let mut command = offby();
        command.arg("run").arg(network).args(["--reference", "tract:f64", "--on", "tract"]);
        command.args(["--repeat", "1", "--json", "-"]);
        let (code, stdout, stderr) = finish(command);
        let Ok(report) = serde_json::from_str::<Value>(&stdout) else {
            // If tract has no f64 kernel for a network, offby refuses it before anything runs.
            let refused = code == 2 && !stderr.contains("panicked");
            breaches.extend((!refused).then(|| format!("{}: {stderr}", network.display())));
            continue;
        };
        let (kind, sentence) = verdict(&report);
        // Values that a GELU brings near 0 are beyond the tolerance, but within rounding.
        if !["agrees", "explained"].contains(&kind.as_str()) {
            breaches.push(format!("{}: exit {code}, {kind}: {sentence}", network.display()));
        }
    }
    keep(networks.len(), &breaches);
}

/// Runs and walks every row, and fails with every difference from the table.
fn hold(rows: &[Row]) {
    // The referees take part in every verdict, so all of them must be here.
    ALL.split(' ').for_each(need);
    let mut breaches = Vec::new();
    let mut pairs = 0;
    for row in rows {
        for target in row.2.split(' ') {
            pairs += 1;
            breaches.extend(of_pair(row, target));
        }
    }
    keep(pairs, &breaches);
}

/// Fails with all breaches.
fn keep(of: usize, breaches: &[String]) {
    let count = breaches.len();
    assert!(breaches.is_empty(), "{count} breaches on {of} rows:\n  {}\n", breaches.join("\n  "));
}

/// The breaches of a row for one of its targets.
fn of_pair(row: &Row, target: &str) -> Vec<String> {
    let (id, more, _, run_kinds, walk_kinds, words) = *row;
    let mut breaches = Vec::new();
    let ran = said("run", id, &without_strategy(more), target);
    breaches.extend(ran.breaches("run", run_kinds));
    // ONNX Runtime exposes no operators: it is walked only from outside.
    let can_walk = !walk_kinds.is_empty() && (target != ORT || more.contains("--strategy"));
    if can_walk {
        let more: Vec<&str> = more.split_whitespace().collect();
        let walked = said("walk", id, &more, target);
        breaches.extend(walked.breaches("walk", walk_kinds));
        let names_nodes = words.iter().any(|word| word.starts_with(['@', '?']));
        let is_right = walk_kinds.iter().all(|kind| RIGHT.contains(kind));
        breaches.extend((is_right && !names_nodes).then(|| walked.breach_of("@")).flatten());
        breaches.extend(words.iter().filter_map(|word| walked.breach_of(word)));
        if walk_kinds != INCONCLUSIVE && ran.code != walked.code {
            breaches.push(format!("run has exit {}, walk has exit {}", ran.code, walked.code));
        }
    }
    let at = format!("{id} {more} {target}");
    breaches.into_iter().map(|breach| format!("{at}: {breach}")).collect()
}

/// The arguments that `run` also accepts.
fn without_strategy(more: &str) -> Vec<&str> {
    let words: Vec<&str> = more.split_whitespace().collect();
    let at = words.iter().position(|word| *word == "--strategy").unwrap_or(words.len());
    [&words[..at], words.get(at + 2..).unwrap_or_default()].concat()
}

/// A command's report on its only target.
struct Said {
    code: i32,
    kind: String,
    sentence: String,
    accused: Vec<String>,
    stderr: String,
}

fn said(command: &str, id: &str, more: &[&str], target: &str) -> Said {
    let folder = Path::new("tests/truth").join(id);
    let mut offby = offby();
    offby.arg(command);
    if folder.is_dir() {
        offby.arg(folder.join("model.onnx"));
        for path in files(&folder, "npy") {
            let name = path.file_stem().unwrap().to_str().unwrap();
            offby.arg("--input").arg(format!("{name}={}", path.display()));
        }
    } else {
        offby.arg(debug_model(&format!("{id}.onnx")));
    }
    offby.args(more).args(["--on", target, "--json", "-"]);
    let (code, stdout, stderr) = finish(offby);
    let report: Value = serde_json::from_str(&stdout).unwrap_or_default();
    let (kind, sentence) = verdict(&report);
    let sources = first_target(&report)["walk"]["sources"].as_array().cloned().unwrap_or_default();
    let mut accused: Vec<String> =
        sources.iter().map(|node| node.as_str().unwrap().to_owned()).collect();
    accused.sort();
    Said { code, kind, sentence, accused, stderr }
}

fn verdict(report: &Value) -> (String, String) {
    let verdict = &first_target(report)["verdict"];
    let text = |name: &str| verdict[name].as_str().unwrap_or("no report").to_owned();
    let looks = verdict["diagnosis"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let looks: String = looks.map(|words| format!("; {words}")).collect();
    (text("kind"), text("sentence") + &looks)
}

impl Said {
    /// Forbidden kinds, absurd words, panics.
    fn breaches(&self, command: &str, kinds: Kinds) -> Vec<String> {
        let Said { code, kind, sentence, stderr, .. } = self;
        let mut breaches = Vec::new();
        if !kinds.contains(&kind.as_str()) {
            let wanted = kinds.join(" or ");
            breaches.push(format!("{command} has exit {code}, {kind}, not {wanted}: {sentence}"));
        }
        let absurd = ABSURD.iter().filter(|words| sentence.contains(**words));
        breaches.extend(absurd.map(|words| format!("{command} says \"{words}\": {sentence}")));
        if stderr.contains("panicked") || stderr.contains("RUST_BACKTRACE") || *code == 2 {
            breaches.push(format!("{command} has exit {code} and prints {stderr}"));
        }
        breaches
    }

    /// The breach of one demand on the walk's words, as `Row` describes them.
    fn breach_of(&self, demand: &str) -> Option<String> {
        let has = |word: &str| self.sentence.contains(word);
        let named = |nodes: &str| nodes.split(',').map(str::to_owned).collect::<Vec<String>>();
        let is_kept = match demand.split_at(1) {
            ("!", word) => !has(word),
            ("@", nodes) => self.accused.join(",") == nodes,
            ("?", nodes) => self.accused.iter().all(|node| named(nodes).contains(node)),
            _ => demand.split('|').any(has),
        };
        let Said { kind, sentence, accused, .. } = self;
        (!is_kept).then(|| {
            format!("walk breaks \"{demand}\", it accuses {accused:?}: {kind}: {sentence}")
        })
    }
}

/// The files of a folder with this extension, in the order of their names.
fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let at = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let entries = fs::read_dir(at).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|end| end == extension)).collect();
    paths.sort();
    paths
}
