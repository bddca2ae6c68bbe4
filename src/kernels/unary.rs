//! Operators of one tensor that compute each element by itself.
//!
//! Most operators take floating-point elements only. If the standard allows integers, they stay exact.

use super::activation as act;
use super::broadcast::spread;
use super::call::{Call, Kernel, Reals, Refused};
use super::number::{Numbers, Wholes, flag, floats, tensor_of};
use super::sum::{greater, smaller};
use crate::tensor::{Dtype, Format, Tensor};
use rayon::prelude::*;

/// Elements that one processor takes at once.
const CHUNK: usize = 1 << 13;

/// The outputs of an operator, or the reason why they are refused.
type Made = Result<Vec<Tensor>, Refused>;

/// The kernels of this file.
pub(super) const UNARY: &[(&str, Kernel)] = &[
    ("Abs", |call| numeric(call, f64::abs, i128::abs)),
    ("Neg", negated),
    ("Sign", |call| numeric(call, act::sign, i128::signum)),
    ("Relu", |call| numeric(call, act::relu, |x| x.max(0))),
    ("Ceil", |call| real(call, f64::ceil)),
    ("Floor", |call| real(call, f64::floor)),
    ("Round", |call| real(call, f64::round_ties_even)),
    ("Sqrt", |call| real(call, f64::sqrt)),
    ("Reciprocal", |call| real(call, f64::recip)),
    ("Exp", |call| real(call, libm::exp)),
    ("Log", |call| real(call, libm::log)),
    ("Sin", |call| real(call, libm::sin)),
    ("Cos", |call| real(call, libm::cos)),
    ("Tan", |call| real(call, libm::tan)),
    ("Asin", |call| real(call, libm::asin)),
    ("Acos", |call| real(call, libm::acos)),
    ("Atan", |call| real(call, libm::atan)),
    ("Sinh", |call| real(call, libm::sinh)),
    ("Cosh", |call| real(call, libm::cosh)),
    ("Tanh", |call| real(call, libm::tanh)),
    ("Asinh", |call| real(call, libm::asinh)),
    // Below 1, libm's logarithm would still return a number.
    ("Acosh", |call| real(call, |x| if x < 1.0 { f64::NAN } else { libm::acosh(x) })),
    ("Atanh", |call| real(call, libm::atanh)),
    ("Erf", |call| real(call, libm::erf)),
    ("Sigmoid", |call| real(call, act::sigmoid)),
    ("Softplus", |call| real(call, act::softplus)),
    ("Softsign", |call| real(call, act::softsign)),
    ("HardSwish", |call| real(call, act::hard_swish)),
    ("Mish", |call| real(call, act::mish)),
    ("LeakyRelu", |call| with(call, ("alpha", 0.01), act::leaky)),
    ("Elu", |call| with(call, ("alpha", 1.0), act::elu)),
    ("Celu", |call| with(call, ("alpha", 1.0), act::celu)),
    ("ThresholdedRelu", |call| with(call, ("alpha", 1.0), act::thresholded)),
    ("Swish", |call| with(call, ("alpha", 1.0), |x, alpha| x * act::sigmoid(alpha * x))),
    ("HardSigmoid", |call| with_two(call, [("alpha", 0.2), ("beta", 0.5)], act::hard_sigmoid)),
    ("Shrink", |call| with_two(call, [("bias", 0.0), ("lambd", 0.5)], act::shrink)),
    ("Selu", selu),
    ("Gelu", gelu),
    ("Identity", identity),
    ("Not", not),
    ("BitwiseNot", bitwise_not),
    ("IsNaN", |call| test(call, f64::is_nan)),
    ("IsInf", is_inf),
    ("Clip", clip),
    ("PRelu", prelu),
];

/// An attribute's name, and its default value.
///
/// The defaults of the standard are `f32`, like the values in nodes.
type Default<'a> = (&'a str, f32);

fn number(call: &Call<'_>, (name, default): Default<'_>) -> f64 {
    call.float(name).unwrap_or(f64::from(default))
}

/// Applies a function to floating-point elements.
fn real(call: &Call<'_>, function: impl Fn(f64) -> f64 + Sync) -> Made {
    mapped(floats(call, 0)?, function)
}

fn mapped(mut reals: Reals, function: impl Fn(f64) -> f64 + Sync) -> Made {
    let values = reals.values.par_iter_mut().with_min_len(CHUNK);
    values.for_each(|value| *value = function(*value));
    Ok(vec![reals.into_tensor()?])
}

/// Applies a function with a parameter to floating-point elements.
fn with(call: &Call<'_>, parameter: Default<'_>, function: fn(f64, f64) -> f64) -> Made {
    let parameter = number(call, parameter);
    real(call, |x| function(x, parameter))
}

/// Applies a function with two parameters to floating-point elements.
fn with_two(call: &Call<'_>, two: [Default<'_>; 2], function: fn(f64, f64, f64) -> f64) -> Made {
    let [first, second] = two.map(|parameter| number(call, parameter));
    real(call, |x| function(x, first, second))
}

/// Applies one function to floating-point elements, and a second function to integers.
fn numeric(
    call: &Call<'_>,
    real: impl Fn(f64) -> f64 + Sync,
    whole: impl Fn(i128) -> i128,
) -> Made {
    match Numbers::of(call, 0)? {
        Numbers::Reals(reals) => mapped(reals, real),
        Numbers::Wholes(wholes) if wholes.dtype == Dtype::Bool => {
            Err("bool is not a number".into())
        }
        Numbers::Wholes(wholes) => each(wholes, whole),
    }
}

fn each(mut wholes: Wholes, function: impl Fn(i128) -> i128) -> Made {
    wholes.values.iter_mut().for_each(|value| *value = function(*value));
    Ok(vec![wholes.into_tensor()?])
}

fn negated(call: &Call<'_>) -> Made {
    match call.needed(0)?.dtype() {
        dtype @ (Dtype::U8 | Dtype::U16 | Dtype::U32 | Dtype::U64) => {
            Err(format!("{dtype} has no negative numbers"))
        }
        _ => numeric(call, |x| -x, |x| -x),
    }
}

fn selu(call: &Call<'_>) -> Made {
    // The first version of the operator had defaults with fewer digits.
    let (alpha, gamma) = if call.opset < 6 { (1.6732, 1.0507) } else { (1.673_263_2, 1.050_701) };
    with_two(call, [("alpha", alpha), ("gamma", gamma)], |x, alpha, gamma| {
        gamma * act::elu(x, alpha)
    })
}

fn gelu(call: &Call<'_>) -> Made {
    match call.text("approximate").unwrap_or("none") {
        "none" => real(call, act::gelu),
        "tanh" => real(call, act::gelu_tanh),
        other => Err(format!("Gelu does not know the approximation `{other}`")),
    }
}

fn identity(call: &Call<'_>) -> Made {
    match Numbers::of(call, 0)? {
        Numbers::Reals(reals) => mapped(reals, |x| x),
        Numbers::Wholes(wholes) => each(wholes, |x| x),
    }
}

fn not(call: &Call<'_>) -> Made {
    match call.needed(0)? {
        Tensor::Bool(array) => Ok(vec![Tensor::Bool(array.mapv(|value| !value))]),
        other => Err(format!("{} is not bool", other.dtype())),
    }
}

fn bitwise_not(call: &Call<'_>) -> Made {
    match Wholes::of(call.needed(0)?).filter(|wholes| wholes.dtype != Dtype::Bool) {
        Some(wholes) => each(wholes, |x| !x),
        None => Err("only integers have bits to turn".into()),
    }
}

/// Tests each floating-point element.
fn test(call: &Call<'_>, passes: impl Fn(f64) -> bool) -> Made {
    let reals = floats(call, 0)?;
    let passed = reals.values.iter().map(|&value| passes(value)).collect();
    Ok(vec![tensor_of(&reals.shape, passed)?])
}

fn is_inf(call: &Call<'_>) -> Made {
    let below = flag(call, "detect_negative", true)?;
    let above = flag(call, "detect_positive", true)?;
    test(call, |x| x.is_infinite() && if x < 0.0 { below } else { above })
}

fn clip(call: &Call<'_>) -> Made {
    match Numbers::of(call, 0)? {
        Numbers::Reals(reals) => {
            let [low, high] = real_bounds(call)?;
            mapped(reals, |x| smaller(greater(x, low), high))
        }
        Numbers::Wholes(wholes) => {
            let [low, high] = whole_bounds(call, wholes.dtype)?;
            each(wholes, |x| x.max(low).min(high))
        }
    }
}

/// The bounds of floating-point elements: attributes before opset 11, inputs from then on.
fn real_bounds(call: &Call<'_>) -> Result<[f64; 2], Refused> {
    if call.opset < 11 {
        // From opset 6 on, missing bounds are the ends of `f32`, so even an infinity is clipped.
        let end = if call.opset < 6 { f64::INFINITY } else { f64::from(f32::MAX) };
        return Ok([call.float("min").unwrap_or(-end), call.float("max").unwrap_or(end)]);
    }
    let end = largest_of(call.needed(0)?.dtype());
    let mut bounds = [-end, end];
    for (place, bound) in bounds.iter_mut().enumerate() {
        let Some(tensor) = call.input(place + 1) else { continue };
        match floats(call, place + 1)?.values.as_slice() {
            [value] if !value.is_nan() => *bound = *value,
            _ => return Err(format!("a bound of shape {:?} or NaN", tensor.shape())),
        }
    }
    Ok(bounds)
}

/// The largest finite value of a floating-point type: the bound that a `Clip` node omits.
fn largest_of(dtype: Dtype) -> f64 {
    match dtype {
        Dtype::F16 => Format::F16.max(),
        Dtype::Bf16 => Format::Bf16.max(),
        Dtype::F32 => Format::F32.max(),
        _ => f64::MAX,
    }
}

fn whole_bounds(call: &Call<'_>, dtype: Dtype) -> Result<[i128; 2], Refused> {
    if call.opset < 11 || dtype == Dtype::Bool {
        return Err(format!("Clip of opset {} takes no {dtype}", call.opset));
    }
    let mut bounds = [i128::MIN, i128::MAX];
    for (place, bound) in bounds.iter_mut().enumerate() {
        let Some(tensor) = call.input(place + 1) else { continue };
        match Wholes::of(tensor).filter(|wholes| wholes.dtype == dtype) {
            Some(Wholes { values, .. }) if values.len() == 1 => *bound = values[0],
            _ => return Err(format!("a bound of elements that are {dtype} is no such scalar")),
        }
    }
    Ok(bounds)
}

fn prelu(call: &Call<'_>) -> Made {
    let slope = call.needed(1)?;
    if call.opset < 7 && slope.len() != 1 {
        return Err("PRelu before opset 7 matches a slope to channels".into());
    }
    match (Numbers::of(call, 0)?, Numbers::of(call, 1)?) {
        (Numbers::Reals(mut reals), Numbers::Reals(slopes)) => {
            let slopes = spread(&slopes.values, &slopes.shape, &reals.shape)?;
            let pairs = reals.values.iter_mut().zip(slopes);
            pairs.for_each(|(value, slope)| *value = act::leaky(*value, slope));
            Ok(vec![reals.into_tensor()?])
        }
        (Numbers::Wholes(mut wholes), Numbers::Wholes(slopes))
            if wholes.dtype == slopes.dtype && wholes.dtype != Dtype::Bool =>
        {
            let slopes = spread(&slopes.values, &slopes.shape, &wholes.shape)?;
            let pairs = wholes.values.iter_mut().zip(slopes);
            let leaky = |x: i128, slope| if x < 0 { x.wrapping_mul(slope) } else { x };
            pairs.for_each(|(value, slope)| *value = leaky(*value, slope));
            Ok(vec![wholes.into_tensor()?])
        }
        _ => Err("PRelu wants numbers of one type".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Attribute;
    use approx::assert_relative_eq;
    use std::collections::BTreeMap;

    fn run(
        op_type: &str,
        opset: i64,
        given: &[(&str, Attribute)],
        inputs: &[Option<Tensor>],
    ) -> Made {
        let attributes: BTreeMap<_, _> =
            given.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let call = Call { op_type, opset, attributes: &attributes, inputs, outputs: 1 };
        UNARY.iter().find(|(name, _)| *name == op_type).unwrap().1(&call)
    }

    /// The operator's results for some numbers, with its default attributes.
    fn of(op_type: &str, values: &[f32]) -> Vec<f64> {
        run(op_type, 22, &[], &[Some(vector(values))]).unwrap()[0].numbers(1)
    }

    fn vector<T: Clone>(values: &[T]) -> Tensor
    where
        Tensor: From<ndarray::ArrayD<T>>,
    {
        tensor_of(&[values.len()], values.to_vec()).unwrap()
    }

    type Function = fn(f64) -> f64;

    #[test]
    fn elementary_functions_are_those_of_the_standard_library() {
        let functions: [(&str, Function); 17] = [
            ("Exp", f64::exp),
            ("Log", f64::ln),
            ("Sin", f64::sin),
            ("Cos", f64::cos),
            ("Tan", f64::tan),
            ("Asin", f64::asin),
            ("Acos", f64::acos),
            ("Atan", f64::atan),
            ("Sinh", f64::sinh),
            ("Cosh", f64::cosh),
            ("Tanh", f64::tanh),
            ("Asinh", f64::asinh),
            ("Acosh", f64::acosh),
            ("Atanh", f64::atanh),
            ("Sqrt", f64::sqrt),
            ("Reciprocal", f64::recip),
            ("Abs", f64::abs),
        ];
        let inputs: Vec<f32> = (-40..40).map(|step| step as f32 * 0.0625).collect();
        for (name, function) in functions {
            for (&input, got) in inputs.iter().zip(of(name, &inputs)) {
                let want = function(f64::from(input));
                assert!(got.is_nan() == want.is_nan(), "{name}({input})");
                if want.is_finite() {
                    assert_relative_eq!(got, want, max_relative = 1e-14, epsilon = 1e-15);
                }
            }
        }
    }

    #[test]
    fn nan_stays_nan_and_nothing_panics() {
        let others = ["Not", "BitwiseNot", "IsNaN", "IsInf", "PRelu", "Shrink", "ThresholdedRelu"];
        for (name, _) in UNARY.iter().filter(|(name, _)| !others.contains(name)) {
            assert!(of(name, &[f32::NAN])[0].is_nan(), "{name}");
            let edges = [f32::INFINITY, f32::NEG_INFINITY, f32::MAX, f32::MIN, 0.0, -0.0];
            assert_eq!(of(name, &edges).len(), edges.len());
        }
        for (name, _) in UNARY {
            let tensors =
                [vector::<f32>(&[]), vector(&[true]), vector(&[1_u64]), vector(&[i8::MIN])];
            for tensor in tensors {
                let _ = run(name, 22, &[], &[Some(tensor.clone()), Some(tensor.clone())]);
                let _ = run(name, 1, &[], &[None, Some(tensor)]);
            }
        }
    }

    #[test]
    fn rounding_and_signs() {
        assert_eq!(of("Round", &[0.5, 1.5, 2.5, -0.5, -1.5]), [0.0, 2.0, 2.0, 0.0, -2.0]);
        assert_eq!(of("Sign", &[-3.0, 0.0, -0.0, 7.0]), [-1.0, 0.0, 0.0, 1.0]);
        assert_eq!(of("Relu", &[f32::NEG_INFINITY, -1.0, 2.0]), [0.0, 0.0, 2.0]);
        assert_eq!(of("Ceil", &[-0.5, 0.2]), [0.0, 1.0]);
        assert_eq!(of("Floor", &[-0.5, 0.2]), [-1.0, 0.0]);
        assert_relative_eq!(of("Erf", &[0.5])[0], 0.520_499_877_813_046_5, max_relative = 1e-15);
    }

    #[test]
    fn defaults_are_those_of_the_standard() {
        assert_eq!(of("LeakyRelu", &[-1.0]), [-f64::from(0.01_f32)]);
        assert_relative_eq!(of("Selu", &[1.0])[0], 1.0507010221481323, max_relative = 1e-15);
        assert_relative_eq!(of("Selu", &[-1.0])[0], -1.1113307, max_relative = 1e-6);
        assert_relative_eq!(of("HardSigmoid", &[1.0])[0], 0.7, max_relative = 1e-7);
        assert_eq!(of("Shrink", &[-1.0, 0.5, 1.0]), [-1.0, 0.0, 1.0]);
        assert_relative_eq!(of("Swish", &[1.0])[0], 0.731_058_578_630_004_9, max_relative = 1e-15);
        let tanh = [("approximate", Attribute::Text("tanh".into()))];
        let got = run("Gelu", 20, &tanh, &[Some(vector(&[1.0_f32]))]).unwrap()[0].numbers(1);
        assert_relative_eq!(got[0], 0.841_191_990_608_276_7, max_relative = 1e-14);
        let other = [("approximate", Attribute::Text("fast".into()))];
        assert!(run("Gelu", 20, &other, &[Some(vector(&[1.0_f32]))]).is_err());
    }

    #[test]
    fn integers_stay_integers() {
        let one = |name, tensor| run(name, 22, &[], &[Some(tensor)]).map(|mut made| made.remove(0));
        assert_eq!(one("Abs", vector(&[i64::MIN + 1, -1])), Ok(vector(&[i64::MAX, 1])));
        assert_eq!(one("Neg", vector(&[i8::MIN, 5])), Ok(vector(&[i8::MIN, -5])));
        assert_eq!(one("Relu", vector(&[-4_i32, 4])), Ok(vector(&[0, 4])));
        assert_eq!(one("Identity", vector(&[u64::MAX])), Ok(vector(&[u64::MAX])));
        assert_eq!(one("Identity", vector(&[true])), Ok(vector(&[true])));
        assert_eq!(one("Not", vector(&[true, false])), Ok(vector(&[false, true])));
        assert_eq!(one("BitwiseNot", vector(&[0_u8, 255])), Ok(vector(&[255_u8, 0])));
        assert!(one("Neg", vector(&[1_u8])).is_err() && one("Exp", vector(&[1_i32])).is_err());
        assert!(one("Not", vector(&[1_u8])).is_err() && one("Abs", vector(&[true])).is_err());
    }

    #[test]
    fn infinities_are_found_by_sign() {
        let input = vector(&[f32::INFINITY, f32::NEG_INFINITY, f32::NAN, 1.0]);
        let found =
            |given: &[(&str, Attribute)]| run("IsInf", 20, given, &[Some(input.clone())]).unwrap();
        assert_eq!(found(&[])[0], vector(&[true, true, false, false]));
        let below = [("detect_positive", Attribute::Int(0))];
        assert_eq!(found(&below)[0], vector(&[false, true, false, false]));
        assert_eq!(of("IsNaN", &[f32::NAN, 1.0]), [1.0, 0.0]);
    }

    #[test]
    fn clip_takes_bounds_from_attributes_then_from_inputs() {
        let input = vector(&[-5.0_f32, 0.5, 5.0, f32::INFINITY]);
        let given = [("min", Attribute::Float(-1.0))];
        let got = run("Clip", 6, &given, &[Some(input.clone())]).unwrap()[0].numbers(1);
        assert_eq!(got, [-1.0, 0.5, 5.0, f64::from(f32::MAX)]);
        let bound = |value: f32| Some(tensor_of(&[], vec![value]).unwrap());
        let top = run("Clip", 13, &[], &[Some(vector(&[f32::INFINITY]))]).unwrap();
        assert_eq!(top[0].numbers(1), [f64::from(f32::MAX)]);
        let clipped = |low, high| run("Clip", 13, &[], &[Some(input.clone()), low, high]);
        assert_eq!(clipped(None, bound(1.0)).unwrap()[0].numbers(1), [-5.0, 0.5, 1.0, 1.0]);
        assert_eq!(clipped(bound(3.0), bound(1.0)).unwrap()[0].numbers(1), [1.0; 4]);
        assert!(clipped(bound(f32::NAN), None).is_err());
        assert!(clipped(Some(vector(&[1.0_f32, 2.0])), None).is_err());
        let whole = [Some(vector(&[i64::MIN, i64::MAX])), None, Some(vector(&[i64::MAX - 1]))];
        let got = run("Clip", 13, &[], &whole).unwrap();
        assert_eq!(got[0], vector(&[i64::MIN, i64::MAX - 1]));
        assert!(run("Clip", 13, &[], &[Some(vector(&[1_i64])), bound(0.0)]).is_err());
    }

    #[test]
    fn slopes_broadcast_one_way() {
        let input = tensor_of(&[2, 2], vec![-1.0_f32, 1.0, -2.0, 2.0]).unwrap();
        let slope = tensor_of(&[2, 1], vec![0.5_f32, 0.25]).unwrap();
        let got = run("PRelu", 16, &[], &[Some(input.clone()), Some(slope)]).unwrap();
        assert_eq!(got[0].numbers(1), [-0.5, 1.0, -0.5, 2.0]);
        let wide = tensor_of(&[3, 2, 2], vec![0.5_f32; 12]).unwrap();
        assert!(run("PRelu", 16, &[], &[Some(input), Some(wide)]).is_err());
        let whole = [Some(vector(&[-3_i32, 3])), Some(vector(&[2_i32]))];
        assert_eq!(run("PRelu", 16, &[], &whole).unwrap()[0], vector(&[-6, 3]));
    }
}
