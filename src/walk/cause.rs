//! Why an element is NaN or infinite, explained by the inputs it is computed from.
//!
//! A cause is claimed only if the element's own inputs show it under the limits of the format in use.

use super::reach::Reach;
use crate::tensor::Format;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The reason why an operator's output contains non-finite values.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// A NaN among the inputs.
    InheritedNan,
    /// An infinity among the inputs.
    InheritedInf,
    /// The right result exceeds the format's largest value.
    BeyondRange,
    /// An exponential of the input exceeds the format's largest value. The right result may not.
    ExpOverflow,
    /// An infinite input minus a second infinite input.
    InfMinusInf,
    /// An infinite input times zero.
    ZeroTimesInf,
    /// An infinite input divided by a second infinite input.
    InfByInf,
    /// Zero divided by zero.
    ZeroByZero,
    /// A number divided by zero.
    DivisionByZero,
    /// The logarithm of zero.
    LogOfZero,
    /// The square root or logarithm of a negative number.
    NegativeDomain,
    /// An input outside the function's domain.
    OutsideDomain,
    /// A square or a sum of squares exceeds the format's largest value.
    SquareOverflow,
    /// An intermediate sum exceeds the format's largest value. The right result does not.
    SumOverflow,
    /// A variance of nearly equal inputs, computed as `E[x²] - E[x]²`.
    VarianceCancels,
    /// The inputs show no cause. The memory was never written, or the kernel is faulty.
    Unexplained,
}

impl Cause {
    /// The cause in words, with the format whose limits apply.
    pub fn words(self, format: Option<Format>) -> String {
        let format = format.map_or("the storage format", Format::name);
        let beyond = |what: &str| format!("{what} is beyond the largest value of {format}");
        match self {
            Cause::InheritedNan => "a NaN among its inputs".into(),
            Cause::InheritedInf => "an infinity among its inputs".into(),
            Cause::BeyondRange => beyond("the right result"),
            Cause::ExpOverflow => beyond("an exponential of its input"),
            Cause::InfMinusInf => "an infinite input minus an infinite input".into(),
            Cause::ZeroTimesInf => "an infinite input times zero".into(),
            Cause::InfByInf => "an infinite input divided by an infinite input".into(),
            Cause::ZeroByZero => "zero divided by zero".into(),
            Cause::DivisionByZero => "a division by zero".into(),
            Cause::LogOfZero => "the logarithm of zero".into(),
            Cause::NegativeDomain => "a root or logarithm of a negative number".into(),
            Cause::OutsideDomain => "an input for which the function has no value".into(),
            Cause::SquareOverflow => beyond("a square of its input, or a sum of squares,"),
            Cause::SumOverflow => beyond("a sum on the way"),
            Cause::VarianceCancels => {
                "its inputs are nearly equal, and a variance taken as E[x²] - E[x]² cancels to a negative number or leaves the range".into()
            }
            Cause::Unexplained => "its inputs do not explain it".into(),
        }
    }
}

/// One non-finite element.
pub(super) struct NonfiniteElement<'a> {
    /// The operator's type, as ONNX or MNN names it.
    pub(super) op_type: &'a str,
    /// The inputs that the element is computed from.
    pub(super) reach: &'a Reach,
    /// The element's right value on those inputs, if that is finite.
    pub(super) right: Option<f64>,
    /// The format whose limits apply.
    pub(super) format: Format,
}

/// Operators that compute exponentials internally.
const EXPONENTIAL: &[&str] = &[
    "erf",
    "gelu",
    "sigmoid",
    "silu",
    "swish",
    "softmax",
    "softplus",
    "tanh",
    "elu",
    "mish",
    "logsumexp",
    "unary",
    "cosh",
    "sinh",
];
impl NonfiniteElement<'_> {
    /// The first cause that the inputs show.
    pub(super) fn cause(&self) -> Cause {
        let max = self.format.max();
        if self.right.is_some_and(|right| right.abs() > max) {
            return Cause::BeyondRange;
        }
        if !self.reach.all().all(f64::is_finite) {
            return self.of_nonfinite_inputs();
        }
        self.of_domain().or_else(|| self.of_range()).unwrap_or(Cause::Unexplained)
    }

    fn is(&self, names: &[&str]) -> bool {
        let kind = self.op_type.to_lowercase();
        names.iter().any(|name| kind.contains(name))
    }

    /// The element's operand from an input, if exactly one value of that input reaches the element.
    fn operand(&self, input: usize) -> Option<f64> {
        let values = self.reach.values.get(input)?;
        (values.len() == 1).then(|| values[0])
    }

    fn of_nonfinite_inputs(&self) -> Cause {
        if self.reach.all().any(f64::is_nan) {
            return Cause::InheritedNan;
        }
        let zero_times = self.reach.pairs().any(|(a, b)| (a == 0.0 || b == 0.0) && a * b != 0.0);
        let infinite: Vec<f64> = self.reach.all().filter(|value| value.is_infinite()).collect();
        let opposed = infinite.iter().any(|value| *value != infinite[0]);
        let both =
            [0, 1].map(|input| self.operand(input).is_some_and(f64::is_infinite)) == [true; 2];
        match self.op_type {
            _ if zero_times => Cause::ZeroTimesInf,
            "Div" if both => Cause::InfByInf,
            "Sub" if both && !opposed => Cause::InfMinusInf,
            "Add" | "Sum" if opposed => Cause::InfMinusInf,
            // These operators subtract the row's maximum or mean from each element.
            _ if self.is(&["softmax", "norm", "logsumexp"]) => Cause::InfMinusInf,
            _ if self.reach.is_sum && opposed => Cause::InfMinusInf,
            _ => Cause::InheritedInf,
        }
    }

    /// The cause if an operand is outside the function's domain, exactly or once it is in the format.
    fn of_domain(&self) -> Option<Cause> {
        let x = self.operand(0)?;
        let y = self.operand(1);
        let undefined = self.right.is_none();
        // If the right value is finite, subnormals count as zero: a device may have flushed them.
        let smallest = if undefined { 0.0 } else { self.format.smallest_normal() };
        let is_zero = |value: f64| value == 0.0 || value.abs() < smallest;
        Some(match (self.op_type, y) {
            ("Div", Some(divisor)) if is_zero(divisor) && is_zero(x) => Cause::ZeroByZero,
            ("Div", Some(divisor)) if is_zero(divisor) => Cause::DivisionByZero,
            ("Mod", Some(0.0)) => Cause::DivisionByZero,
            ("Reciprocal" | "Rsqrt", _) if is_zero(x) => Cause::DivisionByZero,
            // Engines compute powers as exponentials of logarithms.
            ("Pow", _) if x < 0.0 => Cause::NegativeDomain,
            ("Pow", Some(exponent)) if is_zero(x) && exponent < 0.0 => Cause::DivisionByZero,
            ("Log", _) if is_zero(x) => Cause::LogOfZero,
            ("Sqrt" | "Log" | "Rsqrt", _) if x < 0.0 => Cause::NegativeDomain,
            ("Acos" | "Asin" | "Atanh", _) if x.abs() >= 1.0 && undefined => Cause::OutsideDomain,
            ("Acosh", _) if x < 1.0 && undefined => Cause::OutsideDomain,
            // MNN's name for all of these. If the right value is not finite, either cause is possible.
            ("UnaryOp", _) if x < 0.0 && undefined => Cause::NegativeDomain,
            ("UnaryOp", _) if is_zero(x) && undefined => Cause::DivisionByZero,
            _ => return None,
        })
    }

    /// The cause if a value on the way to the result exceeds the format's range.
    fn of_range(&self) -> Option<Cause> {
        let max = self.format.max();
        let first = self.reach.values.first()?;
        let size = first.iter().fold(0.0, |size: f64, value| size.max(value.abs()));
        let undefined = self.right.is_none();
        if self.op_type == "Exp" && undefined && size > max.ln() {
            return Some(Cause::ExpOverflow);
        }
        if self.is(EXPONENTIAL) && exponent(self.op_type, first) > max.ln() {
            return Some(Cause::ExpOverflow);
        }
        if self.is(&["norm"]) && self.variance_cancels(first, size) {
            return Some(Cause::VarianceCancels);
        }
        let squares: f64 = first.iter().map(|value| value * value).sum();
        let is_sum_of_squares = self.is(&["norm", "sumsquare", "reducel2", "reduction"]);
        let is_square = self.is(&["square", "unary"]) && size * size > max;
        if is_square || (is_sum_of_squares && squares > max) {
            return Some(Cause::SquareOverflow);
        }
        let result = self.reach.result(self.op_type);
        if undefined && result.is_some_and(|result| result.abs() > max) {
            return Some(Cause::BeyondRange);
        }
        let sums = self.reach.partial_sums()?;
        (sums > max).then_some(if undefined && result.is_none() {
            Cause::BeyondRange
        } else {
            Cause::SumOverflow
        })
    }

    /// Whether `E[x²] - E[x]²` loses the variance of these values. The variance is at most the square of half their
    /// spread. Each of the two terms is off by the format's epsilon times the square of their size. For sizes below 1,
    /// the epsilon that is added to a variance is larger than that error.
    fn variance_cancels(&self, values: &[f64], size: f64) -> bool {
        let low = values.iter().copied().fold(f64::INFINITY, f64::min);
        let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let lost = 2.0 * self.format.epsilon().sqrt() * size;
        values.len() > 1 && size > 1.0 && high - low <= lost
    }
}

/// The largest argument of an internal exponential, if the implementation takes no precautions.
fn exponent(op_type: &str, values: &[f64]) -> f64 {
    let size = values.iter().fold(0.0, |size: f64, value| size.max(value.abs()));
    let kind = op_type.to_lowercase();
    // A GELU in ONNX contains an erf of x / √2, and some engines compute that erf by tanh.
    let size = if kind == "erf" { size * std::f64::consts::SQRT_2 } else { size };
    if kind.contains("gelu") || kind == "erf" {
        // e^2u, from the usual form by tanh u, with PyTorch's constants.
        return 2.0 * 0.797_884_560_8 * (size + 0.044_715 * size.powi(3));
    }
    if kind.contains("tanh") {
        return 2.0 * size;
    }
    if kind.contains("softmax") || kind.contains("logsumexp") {
        // The logarithm of the sum of the row's exponentials, without subtracting the largest element first.
        let largest = values.iter().fold(f64::NEG_INFINITY, |max, value| max.max(*value));
        return largest + values.iter().map(|value| (value - largest).exp()).sum::<f64>().ln();
    }
    size
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(op_type: &str, values: &[&[f64]], right: Option<f64>, format: Format) -> Cause {
        let values = values.iter().map(|values| values.to_vec()).collect();
        let reach = Reach { values, own: true, is_sum: false };
        NonfiniteElement { op_type, reach: &reach, right, format }.cause()
    }

    #[test]
    fn limits_are_those_of_the_format() {
        let gelu = |x: f64, format| of("Gelu", &[&[x]], Some(0.0), format);
        assert_eq!(gelu(-72.4, Format::F16), Cause::ExpOverflow);
        assert_eq!(gelu(-3.0, Format::F32), Cause::Unexplained);
        let sigmoid = |x: f64, format| of("Sigmoid", &[&[x]], Some(1.0), format);
        assert_eq!(sigmoid(11.2, Format::F16), Cause::ExpOverflow);
        assert_eq!(sigmoid(11.2, Format::Bf16), Cause::Unexplained);
        assert_eq!(sigmoid(88.8, Format::F32), Cause::ExpOverflow);
        // The exponential e^11.5 does not overflow f32. In f16 the result itself is beyond the range.
        assert_eq!(of("Exp", &[&[11.5]], Some(98_716.0), Format::F32), Cause::Unexplained);
        assert_eq!(of("Exp", &[&[11.5]], Some(98_716.0), Format::F16), Cause::BeyondRange);
        assert_eq!(of("Exp", &[&[90.0]], None, Format::F32), Cause::ExpOverflow);
    }

    #[test]
    fn a_divisor_is_what_divides() {
        let div = |a: f64, b: f64, right| of("Div", &[&[a], &[b]], right, Format::F32);
        assert_eq!(div(0.0, 3.0, Some(0.0)), Cause::Unexplained);
        assert_eq!(div(1.0, 0.0, None), Cause::DivisionByZero);
        assert_eq!(div(0.0, 0.0, None), Cause::ZeroByZero);
        assert_eq!(div(1e30, 1e-30, None), Cause::BeyondRange);
        assert_eq!(div(1.0, 1e-39, None), Cause::BeyondRange);
        // The divisor is below the smallest normal value of f16.
        assert_eq!(of("Div", &[&[1.0], &[1e-8]], Some(6e4), Format::F16), Cause::DivisionByZero);
        assert_eq!(div(f64::INFINITY, f64::INFINITY, None), Cause::InfByInf);
    }

    #[test]
    fn what_is_inherited_is_said_to_be() {
        let (inf, nan) = (f64::INFINITY, f64::NAN);
        assert_eq!(of("Add", &[&[nan], &[1.0]], None, Format::F32), Cause::InheritedNan);
        assert_eq!(of("Add", &[&[inf], &[1.0]], None, Format::F32), Cause::InheritedInf);
        assert_eq!(of("Add", &[&[inf], &[-inf]], None, Format::F32), Cause::InfMinusInf);
        assert_eq!(of("Sub", &[&[inf], &[inf]], None, Format::F32), Cause::InfMinusInf);
        assert_eq!(of("Mul", &[&[inf], &[0.0]], None, Format::F32), Cause::ZeroTimesInf);
        assert_eq!(of("Softmax", &[&[-inf, -inf]], None, Format::F32), Cause::InfMinusInf);
    }

    #[test]
    fn domains_and_sums() {
        assert_eq!(of("Log", &[&[-1.0]], None, Format::F32), Cause::NegativeDomain);
        assert_eq!(of("Log", &[&[0.0]], None, Format::F32), Cause::LogOfZero);
        assert_eq!(of("Acos", &[&[1.5]], None, Format::F32), Cause::OutsideDomain);
        assert_eq!(
            of("LayerNorm", &[&[300.0, 1.0]], Some(1.0), Format::F16),
            Cause::SquareOverflow
        );
        assert_eq!(
            of("LayerNorm", &[&[1234.0; 8]], Some(0.0), Format::F16),
            Cause::VarianceCancels
        );
        assert_eq!(of("Reduction", &[&[0.5]], Some(0.5), Format::F16), Cause::Unexplained);
        let mean = Reach { values: vec![vec![1000.0; 100]], own: true, is_sum: true };
        let mean = |format| {
            NonfiniteElement { op_type: "ReduceMean", reach: &mean, right: Some(1000.0), format }
                .cause()
        };
        assert_eq!(mean(Format::F16), Cause::SumOverflow);
        assert_eq!(mean(Format::F32), Cause::Unexplained);
    }
}
