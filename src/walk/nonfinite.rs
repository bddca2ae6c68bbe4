//! NaN and infinities: who brought them about, and how its inputs explain it.

use super::contract::Operand;
use super::floor::Storage;
use crate::tensor::Tensor;
use serde::{Deserialize, Serialize};

/// How non-finite values came out of an operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The right result is beyond the format's largest value.
    BeyondRange,
    /// An exponential of the input is, though the right result is not.
    ExpOverflow,
    /// An infinite input minus another.
    InfMinusInf,
    /// An infinite input times zero.
    ZeroTimesInf,
    /// Zero divided by zero, or a number by zero.
    DivisionByZero,
    /// The square root or logarithm of a negative number.
    NegativeDomain,
    /// A square or a sum of squares is beyond the format's largest value.
    SquareOverflow,
    /// A variance as `E[x²] - E[x]²` of inputs that are nearly equal.
    VarianceCancels,
    /// Nothing in the inputs explains it: memory that was never written, or a fault of the kernel.
    Unexplained,
}

impl Cause {
    /// The cause in words.
    pub fn words(self) -> &'static str {
        match self {
            Cause::BeyondRange => {
                "the right result is beyond the largest value of the storage format"
            }
            Cause::ExpOverflow => {
                "an exponential of its input is beyond the largest value of the format"
            }
            Cause::InfMinusInf => "an infinite input minus another",
            Cause::ZeroTimesInf => "an infinite input times zero",
            Cause::DivisionByZero => "a division by zero",
            Cause::NegativeDomain => "a root or logarithm of a negative number",
            Cause::SquareOverflow => {
                "a square of its input is beyond the largest value of the format"
            }
            Cause::VarianceCancels => {
                "its inputs are nearly equal, and a variance taken as E[x²] - E[x]² cancels to a negative number or leaves the range"
            }
            Cause::Unexplained => {
                "nothing in its inputs explains it: unwritten memory or a fault of the kernel"
            }
        }
    }
}

/// Non-finite values that an operator brought about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NonfiniteFinding {
    /// The operator.
    pub op: String,
    /// NaN elements where the reference has numbers.
    pub nan: u64,
    /// Infinite elements where the reference has numbers.
    pub inf: u64,
    /// How its inputs explain that.
    pub cause: Cause,
    /// Range of the finite inputs.
    pub input_range: Option<(f64, f64)>,
}

/// What an operator made non-finite that the reference, on the same inputs, did not.
pub(super) fn find(
    op: &str,
    op_type: &str,
    inputs: &[Operand],
    reference: &Tensor,
    candidate: &Tensor,
) -> Option<NonfiniteFinding> {
    let (Tensor::F32(reference), Tensor::F32(candidate)) = (reference, candidate) else {
        return None;
    };
    let new = || reference.iter().zip(candidate).filter(|(r, c)| r.is_finite() && !c.is_finite());
    let nan = new().filter(|(_, c)| c.is_nan()).count() as u64;
    let inf = new().count() as u64 - nan;
    if nan + inf == 0 {
        return None;
    }
    let inputs = Inputs::look_at(inputs);
    let largest = new().map(|(r, _)| f64::from(r.abs())).fold(0.0, f64::max);
    let cause = explain(op_type, &inputs, largest);
    Some(NonfiniteFinding { op: op.to_owned(), nan, inf, cause, input_range: inputs.range })
}

#[derive(Default)]
struct Inputs {
    range: Option<(f64, f64)>,
    any_inf: bool,
    any_zero: bool,
}

impl Inputs {
    fn look_at(operands: &[Operand]) -> Self {
        let mut seen = Inputs::default();
        for operand in operands {
            let Operand::Value(Tensor::F32(array)) = operand else { continue };
            for &value in array {
                let value = f64::from(value);
                seen.any_inf |= value.is_infinite();
                seen.any_zero |= value == 0.0;
                if value.is_finite() {
                    let (low, high) = seen.range.unwrap_or((value, value));
                    seen.range = Some((low.min(value), high.max(value)));
                }
            }
        }
        seen
    }
}

/// The largest input whose exponential `f16` holds: ln 65504.
const EXP_LIMIT: f64 = 11.0899;

/// The causes in order, each with what must be seen in the inputs for it.
fn explain(op_type: &str, inputs: &Inputs, largest_result: f64) -> Cause {
    let kind = op_type.to_lowercase();
    let is = |names: &[&str]| names.iter().any(|name| kind.contains(name));
    let (low, high) = inputs.range.unwrap_or((0.0, 0.0));
    let magnitude = low.abs().max(high.abs());
    let half = Storage::F16.max();
    if largest_result > half {
        Cause::BeyondRange
    } else if inputs.any_inf && inputs.any_zero {
        Cause::ZeroTimesInf
    } else if inputs.any_inf {
        Cause::InfMinusInf
    } else if is(&[
        "gelu", "exp", "sigmoid", "silu", "softmax", "softplus", "tanh", "erf", "unary", "elu",
        "mish",
    ]) && magnitude > EXP_LIMIT
    {
        Cause::ExpOverflow
    } else if is(&["norm"]) && magnitude > 1.0 && high - low <= 1e-3 * magnitude {
        Cause::VarianceCancels
    } else if is(&["norm", "reduc", "pow", "square", "unary", "binary"])
        && magnitude * magnitude > half
    {
        Cause::SquareOverflow
    } else if is(&["sqrt", "log", "unary"]) && low < 0.0 {
        Cause::NegativeDomain
    } else if is(&["div", "binary", "norm", "recip"]) && inputs.any_zero {
        Cause::DivisionByZero
    } else {
        Cause::Unexplained
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(values: &[f32]) -> Tensor {
        Tensor::from_f32(&[values.len()], values.to_vec()).unwrap()
    }

    #[test]
    fn causes_come_from_the_inputs() {
        let find = |op_type, input: &[f32], reference: &[f32]| {
            let candidate = row(&vec![f32::NAN; reference.len()]);
            find("op", op_type, &[Operand::Value(row(input))], &row(reference), &candidate)
                .map(|found| found.cause)
        };
        assert_eq!(find("UnaryOp", &[-72.4], &[-0.0]), Some(Cause::ExpOverflow));
        assert_eq!(find("Convolution", &[300.0], &[90_000.0]), Some(Cause::BeyondRange));
        assert_eq!(find("LayerNorm", &[300.0, 1.0], &[1.0]), Some(Cause::SquareOverflow));
        assert_eq!(find("LayerNorm", &[1234.0; 8], &[0.0]), Some(Cause::VarianceCancels));
        assert_eq!(find("Reduction", &[0.5], &[0.5]), Some(Cause::Unexplained));
        assert_eq!(find("Reduction", &[0.5], &[f32::NAN]), None);
    }
}
