//! Seeded numbers that are the same on every platform and in every release.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};

/// A seeded source of numbers.
///
/// The key of ChaCha8 is the seed's eight little-endian bytes, then zeros. So the numbers do not depend on how
/// a library stretches seeds.
#[derive(Debug, Clone)]
pub struct Random {
    source: ChaCha8Rng,
    spare: Option<f64>,
}

impl Random {
    /// A source that always returns the same numbers for the same seed.
    pub fn new(seed: u64) -> Self {
        let mut key = [0u8; 32];
        for (slot, byte) in key.iter_mut().zip(seed.to_le_bytes()) {
            *slot = byte;
        }
        Random { source: ChaCha8Rng::from_seed(key), spare: None }
    }

    /// A multiple of 2^-53 in `0.0 .. 1.0`, all equally likely.
    pub fn unit(&mut self) -> f64 {
        const STEP: f64 = 1.0 / (1u64 << 53) as f64;
        (self.source.next_u64() >> 11) as f64 * STEP
    }

    /// A whole number in `0 .. bound`; 0 for a bound of 0. The bound is at most 2^64.
    pub fn below(&mut self, bound: u128) -> u128 {
        (u128::from(self.source.next_u64()) * bound) >> 64
    }

    /// A standard normal number, after Box and Muller (1958).
    pub fn normal(&mut self) -> f64 {
        if let Some(spare) = self.spare.take() {
            return spare;
        }
        // 1 - unit is in (0, 1], so the logarithm is finite.
        let radius = libm::sqrt(-2.0 * libm::log(1.0 - self.unit()));
        let angle = 2.0 * std::f64::consts::PI * self.unit();
        self.spare = Some(radius * libm::sin(angle));
        radius * libm::cos(angle)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_million_normal_numbers_are_normal() {
        let mut random = Random::new(7);
        let count = 1_000_000;
        let (mut sum, mut squares, mut beyond_two) = (0.0, 0.0, 0);
        for _ in 0..count {
            let z = random.normal();
            sum += z;
            squares += z * z;
            beyond_two += u32::from(z.abs() > 2.0);
        }
        let n = f64::from(count);
        assert!((sum / n).abs() < 0.005, "mean {}", sum / n);
        assert!((squares / n - 1.0).abs() < 0.01, "variance {}", squares / n);
        assert!((f64::from(beyond_two) / n - 0.0455).abs() < 0.002);
    }

    #[test]
    fn bounds_hold() {
        let mut random = Random::new(1);
        assert_eq!(random.below(0), 0);
        for _ in 0..1000 {
            assert!(random.below(3) < 3);
            assert!((0.0..1.0).contains(&random.unit()));
        }
    }
}
