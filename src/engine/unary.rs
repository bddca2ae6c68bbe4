//! Elementary functions in `f64` for the operators that tract has only in `f32`.

/// A function of one element.
pub(super) type Unary = fn(f64) -> f64;

/// The `f64` form of a tract element-wise operator that lacks its own.
pub(super) fn f64_kernel(operator: &str) -> Option<Unary> {
    Some(match operator {
        "Erf" => libm::erf,
        "Sigmoid" => sigmoid,
        "HardSwish" => |x| x * (x / 6.0 + 0.5).clamp(0.0, 1.0),
        "Silu" => |x| x * sigmoid(x),
        "GeluExact" => |x| 0.5 * x * (1.0 + libm::erf(x * std::f64::consts::FRAC_1_SQRT_2)),
        _ => return None,
    })
}

/// 1 / (1 + e^-x), in two branches to avoid overflow on either side.
fn sigmoid(x: f64) -> f64 {
    if x >= 0.0 {
        1.0 / (1.0 + libm::exp(-x))
    } else {
        let e = libm::exp(x);
        e / (1.0 + e)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use approx::assert_relative_eq;

    #[test]
    fn the_kernels_meet_known_values() {
        let at = |name: &str, x: f64| f64_kernel(name).unwrap()(x);
        assert_relative_eq!(at("Erf", 0.5), 0.520_499_877_813_046_5);
        assert_relative_eq!(at("Sigmoid", 0.0), 0.5);
        assert_relative_eq!(at("Sigmoid", -800.0), 0.0);
        assert_relative_eq!(at("HardSwish", 3.0), 3.0);
        assert_relative_eq!(at("HardSwish", -3.0), 0.0);
        assert_relative_eq!(at("GeluExact", 3.8044), 3.804_129, max_relative = 1e-6);
    }

    #[test]
    fn nan_stays_nan() {
        assert!(f64_kernel("Sigmoid").unwrap()(f64::NAN).is_nan());
        assert!(f64_kernel("HardSwish").unwrap()(f64::NAN).is_nan());
    }
}
