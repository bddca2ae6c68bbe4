//! The formulas of the activation functions, each for one number.
//!
//! Neither tail loses digits: no small number is the difference of two large ones. No exponential
//! overflows if the result does not. At an infinity the functions return the value of the
//! standard's formula, which may be NaN.

/// The logistic function, `1 / (1 + exp(-x))`.
pub(super) fn sigmoid(x: f64) -> f64 {
    if x >= 0.0 {
        1.0 / (1.0 + libm::exp(-x))
    } else {
        let small = libm::exp(x);
        small / (1.0 + small)
    }
}

/// `log(1 + exp(x))`.
pub(super) fn softplus(x: f64) -> f64 {
    let above = if x > 0.0 { x } else { 0.0 };
    above + libm::log1p(libm::exp(-x.abs()))
}

/// `x / (1 + |x|)`.
pub(super) fn softsign(x: f64) -> f64 {
    x / (1.0 + x.abs())
}

/// `max(0, x)`, and NaN for NaN.
pub(super) fn relu(x: f64) -> f64 {
    if x > 0.0 || x.is_nan() { x } else { 0.0 }
}

/// The sign, -1, 0 or 1, and NaN for NaN.
pub(super) fn sign(x: f64) -> f64 {
    match x {
        x if x > 0.0 => 1.0,
        x if x < 0.0 => -1.0,
        0.0 => 0.0,
        nan => nan,
    }
}

/// `x` if `x` is not negative, otherwise a multiple of `x`.
pub(super) fn leaky(x: f64, slope: f64) -> f64 {
    if x < 0.0 { slope * x } else { x }
}

/// `x` if `x` is not negative, otherwise `alpha * (exp(x) - 1)`.
pub(super) fn elu(x: f64, alpha: f64) -> f64 {
    if x < 0.0 { alpha * libm::expm1(x) } else { x }
}

/// `max(0, x) + min(0, alpha * (exp(x / alpha) - 1))`.
pub(super) fn celu(x: f64, alpha: f64) -> f64 {
    let low = alpha * libm::expm1(x / alpha);
    let low = if low > 0.0 { 0.0 } else { low };
    relu(x) + low
}

/// `max(0, min(1, alpha * x + beta))`, and NaN for NaN.
pub(super) fn hard_sigmoid(x: f64, alpha: f64, beta: f64) -> f64 {
    (alpha * x + beta).clamp(0.0, 1.0)
}

/// `x` times the hard sigmoid of slope 1/6.
pub(super) fn hard_swish(x: f64) -> f64 {
    x * ((x + 3.0) / 6.0).clamp(0.0, 1.0)
}

/// `x * tanh(softplus(x))`.
pub(super) fn mish(x: f64) -> f64 {
    x * libm::tanh(softplus(x))
}

/// `x` times the normal distribution up to `x`.
pub(super) fn gelu(x: f64) -> f64 {
    // 1 + erf(y) equals erfc(-y), which keeps the digits that the sum would lose.
    0.5 * x * libm::erfc(-x * std::f64::consts::FRAC_1_SQRT_2)
}

/// GELU with a hyperbolic tangent in place of the error function.
pub(super) fn gelu_tanh(x: f64) -> f64 {
    const SQRT_8_OVER_PI: f64 =
        2.0 * std::f64::consts::FRAC_2_SQRT_PI * std::f64::consts::FRAC_1_SQRT_2;
    // (1 + tanh(y)) / 2 equals sigmoid(2 y), which keeps the digits that the sum would lose.
    x * sigmoid(SQRT_8_OVER_PI * (x + 0.044715 * x * x * x))
}

/// `x` if `x` is above a threshold, otherwise 0, also for NaN.
pub(super) fn thresholded(x: f64, alpha: f64) -> f64 {
    if x > alpha { x } else { 0.0 }
}

/// `x` moved towards 0 by a bias if `x` is beyond a border. Otherwise 0, also for NaN, as the standard says.
pub(super) fn shrink(x: f64, bias: f64, border: f64) -> f64 {
    match x {
        x if x < -border => x + bias,
        x if x > border => x - bias,
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_relative_eq;

    /// Whether two numbers agree to the last digits.
    fn near(got: f64, want: f64) {
        assert_relative_eq!(got, want, max_relative = 4e-15);
    }

    // The expected values were computed with 50 digits.
    #[test]
    fn lower_tails_keep_their_digits() {
        near(sigmoid(-40.0), 4.248354255291589e-18);
        near(sigmoid(-700.0), 9.859_676_543_759_77e-305);
        near(softplus(-40.0), 4.248354255291589e-18);
        near(mish(-40.0), -1.6993417021166354e-16);
        near(gelu(-10.0), -7.619853024160527e-23);
        near(elu(-1e-10, 1.0), -9.9999999995e-11);
        near(celu(-1e-10, 2.0), -9.999_999_999_75e-11);
    }

    #[test]
    fn upper_tails_do_not_overflow() {
        for function in [softplus, mish, gelu, gelu_tanh, hard_swish, relu] {
            assert_eq!(function(1e6), 1e6);
            assert_eq!(function(f64::INFINITY), f64::INFINITY);
        }
        assert_eq!(sigmoid(1e6), 1.0);
        assert_eq!(softsign(1e300), 1.0);
        assert_eq!(celu(1e6, 1.0), 1e6);
    }

    #[test]
    fn the_middle_is_as_by_hand() {
        near(sigmoid(1.0), 0.7310585786300049);
        near(softplus(1.0), 1.3132616875182228);
        near(mish(1.0), 0.865_098_388_267_310_3);
        near(gelu(1.0), 0.841_344_746_068_542_9);
        near(gelu_tanh(1.0), 0.841_191_990_608_276_7);
        near(hard_swish(1.0), 2.0 / 3.0);
        assert_eq!([shrink(-2.0, 0.5, 1.0), shrink(1.0, 0.5, 1.0)], [-1.5, 0.0]);
        assert_eq!([thresholded(1.0, 1.0), thresholded(2.0, 1.0)], [0.0, 2.0]);
    }

    #[test]
    fn nan_stays_nan() {
        let functions =
            [sigmoid, softplus, softsign, relu, sign, mish, gelu, gelu_tanh, hard_swish];
        for function in functions {
            assert!(function(f64::NAN).is_nan());
        }
        for function in [leaky, elu, celu] {
            assert!(function(f64::NAN, 1.0).is_nan());
        }
        assert!(hard_sigmoid(f64::NAN, 0.5, 0.5).is_nan());
        // These two functions return 0 for all values that are not beyond a border.
        assert_eq!([thresholded(f64::NAN, 1.0), shrink(f64::NAN, 0.5, 0.5)], [0.0, 0.0]);
    }
}
