//! Sums of products in a wider range than `f64` has.
//!
//! The square of a number beyond 1e154 overflows, and the square of a number below 1e-154 vanishes. Such products go
//! into separate sums, scaled by a power of two, which costs no digit. See Blue, "A portable Fortran program to find
//! the Euclidean norm of a vector", 1978. All other products are summed unscaled.

/// 2^600. With both factors scaled by it, the smallest product is normal (2^-948) and no product overflows (2^848).
const STEP: f64 = f64::from_bits((1023 + STEP_BITS as u64) << 52);
const STEP_BITS: i32 = 600;
/// 2^900. Products up to this size are summed unscaled. A sum of 2^64 of them, more than any tensor has, is finite.
const LARGEST: f64 = f64::from_bits((1023 + 900) << 52);

/// A sum of products of two finite numbers.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct ProductSum {
    /// Products of ordinary size.
    plain: f64,
    /// Larger products, in units of [`STEP`]².
    large: f64,
    /// Smaller products, in units of 1 / [`STEP`]².
    small: f64,
}

impl ProductSum {
    /// Adds `a` · `b`.
    pub(super) fn add(&mut self, a: f64, b: f64) {
        let product = a * b;
        let size = product.abs();
        if (1.0 / LARGEST..=LARGEST).contains(&size) {
            self.plain += product;
        } else if size > LARGEST {
            self.large += (a / STEP) * (b / STEP);
        } else if a != 0.0 && b != 0.0 {
            self.small += (a * STEP) * (b * STEP);
        }
    }

    /// Adds (2 · `half`)², for a `half` whose double is beyond the range of `f64`.
    pub(super) fn add_square_of_twice(&mut self, half: f64) {
        self.large += (half / (STEP / 2.0)) * (half / (STEP / 2.0));
    }

    /// Adds a sum that is known to be of ordinary size.
    pub(super) fn add_plain(&mut self, sum: f64) {
        self.plain += sum;
    }

    pub(super) fn merge(&mut self, other: &ProductSum) {
        self.plain += other.plain;
        self.large += other.large;
        self.small += other.small;
    }

    /// The sum, with its scale.
    pub(super) fn total(&self) -> Wide {
        let ProductSum { plain, large, small } = *self;
        if large != 0.0 {
            Wide::new(large + plain / STEP / STEP, 2 * STEP_BITS)
        } else if plain != 0.0 {
            Wide::new(plain + small / STEP / STEP, 0)
        } else {
            Wide::new(small, -2 * STEP_BITS)
        }
    }
}

/// A number that may be beyond the range of `f64`: `value` · 2^`exponent`. |`value`| is in 1..2 unless the number is
/// 0 or infinite. So a step between two numbers leaves the range only if the result does.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wide {
    value: f64,
    exponent: i32,
}

impl Wide {
    /// `value` · 2^`exponent`. A `value` too small to be normal counts as 0, but no [`Sum`] has such a value.
    fn new(value: f64, exponent: i32) -> Self {
        if !value.is_normal() {
            return Wide { value, exponent: 0 };
        }
        let own = (value.to_bits() >> 52 & 0x7ff) as i32 - 1023;
        let bits = value.to_bits() & !(0x7ff << 52) | 1023 << 52;
        Wide { value: f64::from_bits(bits), exponent: exponent + own }
    }

    /// The number as an `f64`, infinite or 0 if it is out of range.
    pub(super) fn number(self) -> f64 {
        // Computed in three steps, and only the last step can round.
        let third = self.exponent / 3;
        let rest = self.exponent - 2 * third;
        self.value * 2f64.powi(third) * 2f64.powi(third) * 2f64.powi(rest)
    }

    pub(super) fn is_zero(self) -> bool {
        self.value == 0.0
    }

    pub(super) fn sqrt(self) -> Wide {
        let odd = self.exponent.rem_euclid(2);
        Wide::new((self.value * f64::from(1 + odd)).sqrt(), (self.exponent - odd) / 2)
    }

    pub(super) fn times(self, factor: Wide) -> Wide {
        Wide::new(self.value * factor.value, self.exponent + factor.exponent)
    }

    pub(super) fn over(self, divisor: Wide) -> Wide {
        Wide::new(self.value / divisor.value, self.exponent - divisor.exponent)
    }

    /// Divided by an ordinary number.
    pub(super) fn per(self, count: f64) -> Wide {
        self.over(Wide::new(count, 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(pairs: &[(f64, f64)]) -> Wide {
        let mut sum = ProductSum::default();
        pairs.iter().for_each(|&(a, b)| sum.add(a, b));
        sum.total()
    }

    #[test]
    fn roots_of_squares_are_the_numbers() {
        for size in [1e-320, 1e-200, 1e-140, 1.0, 1e140, 1e200, 1e308] {
            assert_eq!(sum(&[(size, size)]).sqrt().number(), size, "{size}");
        }
        assert!(sum(&[]).is_zero() && sum(&[(0.0, 1e300)]).is_zero());
    }

    #[test]
    fn what_is_beyond_the_range_divides() {
        let [large, small] = [sum(&[(1e200, 1e200)]), sum(&[(1e-200, 1e-200)])];
        assert_eq!(large.number(), f64::INFINITY);
        assert_eq!(small.number(), 0.0);
        assert_eq!(large.over(large).number(), 1.0);
        assert_eq!(small.over(large).number(), 0.0);
        // One product on each side of the border between the sums, both close to the border.
        let [below, above] = [2f64.powi(-451), 2f64.powi(-449)].map(|size| sum(&[(size, size)]));
        assert_eq!((below.over(above).number(), above.over(below).number()), (1.0 / 16.0, 16.0));
        // 1e200 times 1e-200 is ordinary.
        assert!((sum(&[(1e200, 1e-200)]).number() - 1.0).abs() < 1e-15);
    }

    #[test]
    fn twice_the_largest_number_has_a_square() {
        let mut twice = ProductSum::default();
        twice.add_square_of_twice(f64::MAX);
        let ratio = twice.total().over(sum(&[(f64::MAX, f64::MAX)]));
        assert_eq!(ratio.number(), 4.0);
    }
}
