//! The usual error of the roundings inside an operator: A over u, for each element.
//!
//! One row for each operator type. Functions have the constants that real engines need: ONNX Runtime and MNN's CPU.
//! The constants also cover the precision that the Vulkan and OpenCL specifications demand. These demand a logarithm
//! within 3 units in the last place and 2⁻²¹, an exponential within 3 + 2|x|, and a division within 2.5.

use crate::kernels::{Call, Rows, broadcast_to};
use crate::tensor::Tensor;

/// How an operator's elements are judged.
pub(super) enum Formula {
    /// Values are moved or chosen.
    Exact,
    /// Each element is rounded once.
    Once,
    /// A over u of an element, from the element of the first input and the result.
    Each(fn(f64, f64) -> f64),
    /// A over u of all elements of the first output, and the number of consecutive roundings.
    All(fn(&Call<'_>, &[f64]) -> Units),
}

/// A over u of each element, and the number of consecutive roundings; `None` if the node's form is unknown here.
pub(super) type Units = Option<(Vec<f64>, f64)>;

/// The formulas by ONNX operator type.
const FORMULAS: &[(&str, Formula)] = &[
    ("Add", Formula::Once),
    ("Sub", Formula::Once),
    ("Mul", Formula::Once),
    ("LeakyRelu", Formula::Once),
    ("PRelu", Formula::Once),
    ("Cast", Formula::Once),
    ("Div", Formula::Each(|_, r| 1.25 * r.abs())),
    ("Reciprocal", Formula::Each(|_, r| 1.25 * r.abs())),
    ("Sqrt", Formula::Each(|_, r| 1.5 * r.abs())),
    ("Sigmoid", Formula::Each(|_, _| 2.0)),
    ("Tanh", Formula::Each(|_, _| 2.0)),
    ("Erf", Formula::Each(|_, _| 2.0)),
    ("Softsign", Formula::Each(|_, r| 2.0 * r.abs())),
    ("Gelu", Formula::Each(|x, _| 2.0 * x.abs())),
    ("Swish", Formula::Each(|x, _| 2.0 * x.abs())),
    ("Mish", Formula::Each(|x, _| 2.0 * x.abs())),
    ("HardSwish", Formula::Each(|x, r| x.abs() + r.abs())),
    ("HardSigmoid", Formula::Each(|x, r| x.abs() + r.abs())),
    ("Exp", Formula::Each(|x, r| 2.0 * r.abs() * (1.0 + x.abs()))),
    ("Log", Formula::Each(|_, r| 2.0 * (1.0 + r.abs()))),
    ("Softplus", Formula::Each(|_, r| 2.0 * (1.0 + r.abs()))),
    ("Elu", Formula::Each(|_, r| 2.0 * (1.0 + r.abs()))),
    ("Celu", Formula::Each(|_, r| 2.0 * (1.0 + r.abs()))),
    ("Selu", Formula::Each(|_, r| 4.0 * (1.0 + r.abs()))),
    ("Sin", Formula::Each(|x, _| 2.0 + x.abs())),
    ("Cos", Formula::Each(|x, _| 2.0 + x.abs())),
    ("Pow", Formula::All(power)),
    ("Sum", Formula::All(several)),
    ("Mean", Formula::All(several)),
    ("ReduceProd", Formula::All(product)),
    ("ReduceL2", Formula::All(length)),
    ("ReduceLogSumExp", Formula::All(|_, right| Some((log_units(right), 1.0)))),
    ("Softmax", Formula::All(softmax)),
    ("LogSoftmax", Formula::All(log_softmax)),
    ("BatchNormalization", Formula::All(batch_norm)),
    ("LayerNormalization", Formula::All(norm)),
    ("InstanceNormalization", Formula::All(norm)),
    ("GroupNormalization", Formula::All(norm)),
    ("RMSNormalization", Formula::All(root_mean_square)),
    ("SimplifiedLayerNormalization", Formula::All(root_mean_square)),
];

/// Operators that move or choose values, or whose results are whole numbers.
const EXACT: &[&str] = &[
    "Abs",
    "ArgMax",
    "ArgMin",
    "Ceil",
    "Clip",
    "Compress",
    "Concat",
    "Constant",
    "ConstantOfShape",
    "DepthToSpace",
    "Dropout",
    "Expand",
    "EyeLike",
    "Flatten",
    "Floor",
    "Gather",
    "GatherElements",
    "GatherND",
    "GlobalMaxPool",
    "Identity",
    "Max",
    "MaxPool",
    "MaxUnpool",
    "Min",
    "Neg",
    "NonMaxSuppression",
    "NonZero",
    "OneHot",
    "Pad",
    "Range",
    "ReduceMax",
    "ReduceMin",
    "Relu",
    "Reshape",
    "ReverseSequence",
    "Round",
    "ScatterElements",
    "ScatterND",
    "Shape",
    "Sign",
    "Size",
    "Slice",
    "SpaceToDepth",
    "Split",
    "Squeeze",
    "ThresholdedRelu",
    "Tile",
    "TopK",
    "Transpose",
    "Trilu",
    "Unsqueeze",
    "Where",
];

/// Whether engines approximate operators of this type: by polynomials and tables, or in tiles.
pub(super) fn is_approximated(op_type: &str) -> bool {
    match formula(op_type) {
        Some(Formula::Each(_)) => !["Div", "Reciprocal", "Sqrt"].contains(&op_type),
        Some(_) => op_type == "Pow",
        None => op_type == "Conv" || !sums(op_type),
    }
}

/// Operators whose elements are sums (`kernels::Sums`), except convolutions.
fn sums(op_type: &str) -> bool {
    ["MatMul", "Gemm", "AveragePool", "GlobalAveragePool", "ReduceSum", "ReduceMean"]
        .contains(&op_type)
}

/// The formula of an operator type; `None` if the type has no formula.
pub(super) fn formula(op_type: &str) -> Option<&'static Formula> {
    if EXACT.contains(&op_type) {
        return Some(&Formula::Exact);
    }
    FORMULAS.iter().find(|(name, _)| *name == op_type).map(|(_, formula)| formula)
}

/// An input's elements, repeated to the shape of the result.
fn operand(call: &Call<'_>, place: usize, like: &Tensor) -> Option<Vec<f64>> {
    broadcast_to(call.inputs.get(place)?.as_ref()?, like.shape())
}

/// x^y is an exponential of y ln x.
fn power(call: &Call<'_>, right: &[f64]) -> Units {
    let longest = call.inputs.iter().flatten().max_by_key(|input| input.len())?;
    let (base, exponent) = (operand(call, 0, longest)?, operand(call, 1, longest)?);
    if base.len() != right.len() {
        return None;
    }
    let one = |((x, y), r): ((&f64, &f64), &f64)| {
        let inside = if *x == 0.0 { 0.0 } else { y.abs() * (1.0 + x.abs().ln().abs()) };
        2.0 * r.abs() * (1.0 + inside)
    };
    Some((base.iter().zip(&exponent).zip(right).map(one).collect(), 1.0))
}

/// Every input adds a rounding.
fn several(call: &Call<'_>, right: &[f64]) -> Units {
    let longest = call.inputs.iter().flatten().max_by_key(|input| input.len())?;
    let mut units = vec![0.0; right.len()];
    for place in 0..call.inputs.len() {
        let values = operand(call, place, longest)?;
        units.iter_mut().zip(values).for_each(|(unit, value)| *unit += value.abs());
    }
    Some((units, call.inputs.len() as f64))
}

fn product(call: &Call<'_>, right: &[f64]) -> Units {
    let n = reduced(call, right)?;
    Some((right.iter().map(|r| n * r.abs()).collect(), n))
}

/// A root of a sum of squares, which cannot cancel.
fn length(call: &Call<'_>, right: &[f64]) -> Units {
    let n = reduced(call, right)?;
    Some((right.iter().map(|r| r.abs() * (n.sqrt() + 3.0)).collect(), n))
}

/// The number of elements of the first input that become one element of the output.
fn reduced(call: &Call<'_>, right: &[f64]) -> Option<f64> {
    let input = call.inputs.first()?.as_ref()?;
    Some((input.len() as f64 / right.len().max(1) as f64).max(1.0))
}

fn log_units(right: &[f64]) -> Vec<f64> {
    right.iter().map(|r| 4.0 * (1.0 + r.abs())).collect()
}

/// The condition of an exponential is its argument; the denominator is a sum of positive numbers.
fn softmax(call: &Call<'_>, right: &[f64]) -> Units {
    let mut units = vec![0.0; right.len()];
    let rows = Rows::of(call)?.ok()?.rows;
    let mut longest = 1;
    for row in rows {
        let most = row.values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let shares = row.places.iter().map(|&place| right.get(place).copied().unwrap_or(0.0));
        let away = |x: f64, r: f64| if r > 0.0 { (x - most).abs() } else { 0.0 };
        let inside: f64 = row.values.iter().zip(shares.clone()).map(|(x, r)| r * away(*x, r)).sum();
        let root = (row.values.len() as f64).sqrt();
        for ((x, r), &place) in row.values.iter().zip(shares).zip(&row.places) {
            units[place] = r * (away(*x, r) + inside + root);
        }
        longest = longest.max(row.values.len());
    }
    Some((units, longest as f64))
}

fn log_softmax(call: &Call<'_>, right: &[f64]) -> Units {
    let rows = Rows::of(call)?.ok()?.rows;
    let mut units = vec![0.0; right.len()];
    for row in rows {
        let most = row.values.iter().copied().fold(0.0, |most: f64, x| most.max(x.abs()));
        let root = (row.values.len() as f64).sqrt();
        for (x, &place) in row.values.iter().zip(&row.places) {
            units[place] = 2.0 * (right[place].abs() + most + x.abs() + root);
        }
    }
    Some((units, 1.0))
}

/// Engines fold the four parameters into a factor and a summand.
fn batch_norm(call: &Call<'_>, right: &[f64]) -> Units {
    let input = call.inputs.first()?.as_ref()?;
    let values = input.numbers(1);
    let parameter = |place: usize| Some(call.inputs.get(place)?.as_ref()?.numbers(1));
    let [scale, bias, mean, variance] =
        [parameter(1)?, parameter(2)?, parameter(3)?, parameter(4)?];
    let plane: usize = input.shape().get(2..)?.iter().product();
    let epsilon = epsilon(call);
    let one = |(at, (x, r)): (usize, (&f64, &f64))| {
        let channel = at / plane.max(1) % scale.len().max(1);
        let factor = (scale[channel] / (variance[channel] + epsilon).sqrt()).abs();
        2.0 * factor * (x.abs() + mean[channel].abs()) + 2.0 * bias[channel].abs() + r.abs()
    };
    Some((values.iter().zip(right).enumerate().map(one).collect(), 1.0))
}

fn epsilon(call: &Call<'_>) -> f64 {
    match call.attributes.get("epsilon") {
        Some(crate::graph::Attribute::Float(value)) => f64::from(*value),
        _ => 1e-5,
    }
}

/// The error of the mean is divided by the deviation. The formula is for two passes; one pass over squares is a
/// different formula, and unstable.
fn norm(call: &Call<'_>, right: &[f64]) -> Units {
    let Rows { rows, scale, bias, epsilon } = Rows::of(call)?.ok()?;
    let mut units = vec![0.0; right.len()];
    let mut longest = 1;
    for row in rows {
        let n = row.values.len() as f64;
        let mean = row.values.iter().sum::<f64>() / n;
        let size = row.values.iter().map(|x| x.abs()).sum::<f64>() / n;
        let variance = row.values.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / n;
        let deviation = (variance + epsilon).sqrt();
        for (x, &place) in row.values.iter().zip(&row.places) {
            let gain = scale.get(place).map_or(1.0, |scale| scale.abs());
            let away = ((x - mean) / deviation).abs();
            let inside = n.sqrt() * size / deviation + away * (n.sqrt() + 3.0);
            units[place] = gain * inside + bias.get(place).map_or(0.0, |bias| bias.abs());
        }
        longest = longest.max(row.values.len());
    }
    Some((units, longest as f64))
}

/// Squares do not cancel.
fn root_mean_square(call: &Call<'_>, right: &[f64]) -> Units {
    let rows = Rows::of(call)?.ok()?.rows;
    let n = rows.iter().map(|row| row.values.len()).max().unwrap_or(1) as f64;
    Some((right.iter().map(|r| r.abs() * (n.sqrt() + 3.0)).collect(), n))
}
