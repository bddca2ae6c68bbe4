//! Vectorised loops over one cache-resident block of `f32` pairs.
//!
//! Each function is one simple loop. The compiler turns the loop into AVX-512, AVX2 or NEON code, and `pulp`
//! picks one of them at run time. [`sums`] shows whether all values are finite. The other functions need finite
//! values: the caller replaces non-finite pairs by (0, 0), which add 0 here. Sums have a fixed number of lanes,
//! so every machine adds in the same order.
//!
//! Maxima are taken of the bits, read as integers. Positive floats keep their order as integers, and negative
//! floats stay below zero. Such a reduction vectorises, but a reduction of floats does not.

use super::rounding::{Explained, HYPOTHESES};
use super::tally::BlockSums;
use pulp::{Arch, Simd, WithSimd};

/// Elements of a block. Two blocks and the values derived from them stay in the first-level cache.
pub(super) const BLOCK: usize = 1024;
/// Number of parallel partial sums.
const LANES: usize = 8;

/// One block of a tensor.
pub(super) type Chunk = [f32; BLOCK];

const MAGNITUDE: u32 = 0x7fff_ffff;
/// Bits that `f16` and `tf32` cut off an `f32`, and bits that `bf16` cuts off.
const CUT_F16: u32 = 13;
const CUT_BF16: u32 = 16;

/// The sums of a block. A sum of squares is finite unless a value is not, since squares of `f32` cannot
/// overflow an `f64`.
///
/// Products of `f32` are exact in `f64`, and every addition rounds once, with and without fused multiply-add.
pub(super) fn sums(arch: Arch, [reference, candidate]: [&Chunk; 2]) -> BlockSums {
    let lanes = arch.dispatch(Summing { reference, candidate });
    // Added up outside the loop's function. Inside, the vectoriser would arrange the lanes for these few additions.
    let [difference, squared_difference, squared_reference, squared_candidate, product] =
        lanes.map(|lanes| lanes.iter().sum());
    BlockSums { difference, squared_difference, squared_reference, squared_candidate, product }
}

/// The loop of [`sums`]. The loop is too long for the compiler to take a closure of it into the dispatched code.
struct Summing<'a> {
    reference: &'a Chunk,
    candidate: &'a Chunk,
}

impl WithSimd for Summing<'_> {
    type Output = [[f64; LANES]; 5];

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> Self::Output {
        let [mut d1, mut d2, mut r2, mut c2, mut rc] = [[0.0; LANES]; 5];
        let candidates = self.candidate.as_chunks::<LANES>().0;
        for (r, c) in self.reference.as_chunks::<LANES>().0.iter().zip(candidates) {
            let (r, c) = (r.map(f64::from), c.map(f64::from));
            let d: [f64; LANES] = std::array::from_fn(|lane| c[lane] - r[lane]);
            each(&mut d1, |lane, sum| sum + d[lane].abs());
            each(&mut d2, |lane, sum| d[lane].mul_add(d[lane], sum));
            each(&mut r2, |lane, sum| r[lane].mul_add(r[lane], sum));
            each(&mut c2, |lane, sum| c[lane].mul_add(c[lane], sum));
            each(&mut rc, |lane, sum| r[lane].mul_add(c[lane], sum));
        }
        [d1, d2, r2, c2, rc]
    }
}

#[inline(always)]
fn each(lanes: &mut [f64; LANES], step: impl Fn(usize, f64) -> f64) {
    for (lane, value) in lanes.iter_mut().enumerate() {
        *value = step(lane, *value);
    }
}

/// Counts over one block.
pub(super) struct Counts {
    /// Pairs of different values.
    pub(super) mismatched: u32,
    /// Candidates with as many trailing zero bits as every format of [`HYPOTHESES`] leaves.
    pub(super) short: u32,
    /// The largest distance in `f32` ulps.
    pub(super) ulps: u32,
}

pub(super) fn counts(arch: Arch, [reference, candidate]: [&Chunk; 2]) -> Counts {
    arch.dispatch(move || {
        let (mut mismatched, mut short, mut ulps) = (0u32, 0u32, 0u32);
        for i in 0..BLOCK {
            let (r, c) = (reference[i], candidate[i]);
            mismatched += u32::from(r != c);
            short += u32::from(c.to_bits() << (32 - CUT_F16) == 0);
            ulps = ulps.max(distance(place_f32(r.to_bits()), place_f32(c.to_bits())));
        }
        Counts { mismatched, short, ulps }
    })
}

/// The largest distance in `f16` ulps.
pub(super) fn ulps_f16(arch: Arch, [reference, candidate]: [&Chunk; 2]) -> u32 {
    arch.dispatch(move || {
        (0..BLOCK).fold(0, |ulps: u32, i| {
            ulps.max(distance(place_f16(reference[i].to_bits()), place_f16(candidate[i].to_bits())))
        })
    })
}

#[inline(always)]
fn distance(a: i32, b: i32) -> u32 {
    a.max(b).wrapping_sub(a.min(b)).cast_unsigned()
}

/// The position of a float on the number line of `f32`, see [`super::ulp`].
#[inline(always)]
fn place_f32(bits: u32) -> i32 {
    with_sign((bits & MAGNITUDE).cast_signed(), bits)
}

/// The position of a float on the line of `f16`, after rounding to nearest even.
#[inline(always)]
fn place_f16(bits: u32) -> i32 {
    let magnitude = bits & MAGNITUDE;
    let normal = (nearest(magnitude, CUT_F16) >> CUT_F16).wrapping_sub(112 << 10).min(0x7c00);
    let subnormal = (f32::from_bits(magnitude) + 0.5).to_bits().wrapping_sub(0.5f32.to_bits());
    let steps = if magnitude < SMALLEST_F16 { subnormal } else { normal };
    with_sign(steps.cast_signed(), bits)
}

#[inline(always)]
fn with_sign(steps: i32, bits: u32) -> i32 {
    let sign = bits.cast_signed() >> 31;
    (steps ^ sign) - sign
}

/// The bits of 2^-14, the smallest normal `f16`. Below this value, the step is 2^-24. The step of `f32` from
/// 0.5 to 1 is the same, so adding 0.5 rounds to whole steps.
const SMALLEST_F16: u32 = 0x3880_0000;
/// The bits of 65504, the largest `f16`, and of 65536. A magnitude that rounds to 65536 or more overflows.
const LARGEST_F16: u32 = 0x477f_e000;
const BEYOND_F16: u32 = 0x4780_0000;

/// A magnitude rounded to nearest even at `cut` bits. An overflow results in the bits of
/// infinity without a special case.
#[inline(always)]
fn nearest(magnitude: u32, cut: u32) -> u32 {
    let odd = (magnitude >> cut) & 1;
    (magnitude + (1 << (cut - 1)) - 1 + odd) & !((1 << cut) - 1)
}

#[inline(always)]
fn toward_zero(magnitude: u32, cut: u32) -> u32 {
    magnitude & !((1 << cut) - 1)
}

#[inline(always)]
fn nearest_f16(magnitude: u32) -> u32 {
    let normal = nearest(magnitude, CUT_F16);
    let normal = if normal >= BEYOND_F16 { f32::INFINITY.to_bits() } else { normal };
    let subnormal = (f32::from_bits(magnitude) + 0.5) - 0.5;
    if magnitude < SMALLEST_F16 { subnormal.to_bits() } else { normal }
}

#[inline(always)]
fn toward_zero_f16(magnitude: u32) -> u32 {
    let nearest = (f32::from_bits(magnitude) + 0.5) - 0.5;
    let step = f32::from_bits((127 - 24) << 23);
    let subnormal = if nearest.to_bits() > magnitude { nearest - step } else { nearest };
    let normal = toward_zero(magnitude, CUT_F16).min(LARGEST_F16);
    if magnitude < SMALLEST_F16 { subnormal.to_bits() } else { normal }
}

/// The number of differing candidates that each of [`HYPOTHESES`] explains.
pub(super) fn explained(arch: Arch, pair: [&Chunk; 2]) -> Explained {
    let counts: [u32; HYPOTHESES.len()] = [
        count(arch, pair, nearest_f16),
        count(arch, pair, toward_zero_f16),
        count(arch, pair, |magnitude| nearest(magnitude, CUT_BF16)),
        count(arch, pair, |magnitude| toward_zero(magnitude, CUT_BF16)),
        count(arch, pair, |magnitude| nearest(magnitude, CUT_F16)),
        count(arch, pair, |magnitude| toward_zero(magnitude, CUT_F16)),
    ];
    counts.map(u64::from)
}

fn count(arch: Arch, [reference, candidate]: [&Chunk; 2], round: impl Fn(u32) -> u32) -> u32 {
    arch.dispatch(move || {
        (0..BLOCK).fold(0, |count, i| {
            let (r, c) = (reference[i], candidate[i]);
            let rounded = round(r.to_bits() & MAGNITUDE) | (r.to_bits() & !MAGNITUDE);
            count + u32::from((f32::from_bits(rounded) == c) & (r != c))
        })
    })
}

/// Close and cheap upper bounds of the differences in a block.
pub(super) struct Bounds<'a> {
    reference: &'a Chunk,
    candidate: &'a Chunk,
    /// The bound of max |d|.
    pub(super) largest: f64,
    /// Whether |d| / |r| may exceed the given ratio for some r ≠ 0.
    pub(super) ratio_beyond: bool,
}

/// A power of two that keeps subnormal products normal, and a margin wider than all roundings of a bound.
const SCALE: f64 = (1u64 << 30) as f64;
const MARGIN: f64 = 1.0 / (1u64 << 20) as f64;

impl<'a> Bounds<'a> {
    /// The bounds of a block, and whether a ratio |d| / |r| may exceed `ratio`.
    pub(super) fn new(arch: Arch, [reference, candidate]: [&'a Chunk; 2], ratio: f64) -> Self {
        let factor = lowered(ratio);
        let (largest, excess) = arch.dispatch(move || {
            let (mut largest, mut most) = (0, 0);
            for i in 0..BLOCK {
                let r = reference[i];
                let error = scaled(r, candidate[i]);
                let excess = error - r.abs() * factor;
                let excess = if r == 0.0 { 0.0 } else { excess };
                largest = largest.max(error.to_bits().cast_signed());
                most = most.max(excess.to_bits().cast_signed());
            }
            (largest, most)
        });
        Bounds { reference, candidate, largest: unscaled(largest), ratio_beyond: excess > 0 }
    }

    /// The bound of max(|d| − rtol·|r|), or 0 if no pair has a positive excess.
    pub(super) fn excess(&self, arch: Arch, rtol: f64) -> f64 {
        let (reference, candidate, factor) = (self.reference, self.candidate, lowered(rtol));
        let largest = arch.dispatch(move || {
            (0..BLOCK).fold(0, |largest: i32, i| {
                let excess = scaled(reference[i], candidate[i]) - reference[i].abs() * factor;
                largest.max(excess.to_bits().cast_signed())
            })
        });
        unscaled(largest)
    }
}

/// |c − r| times [`SCALE`], raised by a small margin.
#[inline(always)]
fn scaled(r: f32, c: f32) -> f32 {
    (c - r).abs() * (SCALE * (1.0 + MARGIN)) as f32
}

/// A factor on the scale of [`scaled`], rounded down and kept finite. A smaller factor only raises a bound.
fn lowered(factor: f64) -> f32 {
    (factor * SCALE * (1.0 - MARGIN)).min(f32::MAX.into()) as f32
}

fn unscaled(bits: i32) -> f64 {
    f64::from(f32::from_bits(bits.cast_unsigned())) / SCALE
}

/// max(0, max(|d| − rtol·|r|)) to the last bit of `f64`.
pub(super) fn needed(arch: Arch, [reference, candidate]: [&Chunk; 2], rtol: f64) -> f64 {
    let largest = arch.dispatch(move || {
        (0..BLOCK).fold(0, |largest: i64, i| {
            let (r, c) = (f64::from(reference[i]), f64::from(candidate[i]));
            let excess = (c - r).abs() - rtol * r.abs();
            largest.max(excess.to_bits().cast_signed())
        })
    });
    f64::from_bits(largest.cast_unsigned())
}

/// max |d| / |r| over r ≠ 0 to the last bit of `f64`.
pub(super) fn max_ratio(arch: Arch, [reference, candidate]: [&Chunk; 2]) -> f64 {
    let largest = arch.dispatch(move || {
        (0..BLOCK).fold(0, |largest: i64, i| {
            let (r, c) = (f64::from(reference[i]), f64::from(candidate[i]));
            let ratio = if r == 0.0 { 0.0 } else { (c - r).abs() / r.abs() };
            largest.max(ratio.to_bits().cast_signed())
        })
    });
    f64::from_bits(largest.cast_unsigned())
}
