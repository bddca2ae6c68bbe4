//! Tests the comparison against a second implementation that follows the definitions, element by element.

use super::frontier::GRID;
use super::*;
use crate::tensor::{Rounding, Tensor};
use half::{bf16, f16};
use ndarray::ArrayD;

/// SplitMix64.
struct SplitMix(u64);

impl SplitMix {
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Evenly distributed in [-1, 1).
    fn even(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }

    /// Any finite `f32`.
    fn pattern(&mut self) -> f32 {
        let value = f32::from_bits(self.bits() as u32);
        if value.is_finite() { value } else { 0.0 }
    }
}

/// Lengths around one block, and of several chunks.
const LENGTHS: [usize; 8] = [1, 2, 7, 1023, 1024, 1025, 4097, 40_001];

/// How a candidate element is made from a reference element.
type PairFault = fn(&mut SplitMix, f32) -> f32;

const FAULTS: [(&str, PairFault); 9] = [
    ("equal", |_, r| r),
    ("noise", |random, r| r + 1e-3 * random.even() as f32),
    ("relative noise", |random, r| r * (1.0 + 1e-3 * random.even() as f32)),
    ("constant factor", |_, r| r * 1.001),
    ("rounded to f16", |_, r| f16::from_f32(r).to_f32()),
    ("rounded to bf16", |_, r| bf16::from_f32(r).to_f32()),
    ("cut to tf32", |_, r| f32::from_bits(r.to_bits() & !0x1fff)),
    ("any bits", |random, _| random.pattern()),
    ("rare subnormals", |random, r| {
        if random.bits() % 50 == 0 { f32::from_bits(random.bits() as u32 % 16) } else { r }
    }),
];

const SPECIAL: [f32; 6] = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0, -0.0, 7e4];

/// References of three kinds: around 1, over the whole range, and tiny.
fn reference(random: &mut SplitMix, kind: usize) -> f32 {
    match kind {
        0 => (2.0 * random.even()) as f32,
        1 => random.pattern(),
        _ => f32::from_bits(random.bits() as u32 & 0x8000_00ff),
    }
}

fn sprinkle(random: &mut SplitMix, value: f32) -> f32 {
    let roll = random.bits() % 300;
    SPECIAL.get(roll as usize).copied().unwrap_or(value)
}

fn pairs(
    seed: u64,
    len: usize,
    kind: usize,
    fault: PairFault,
    special: bool,
) -> (Vec<f32>, Vec<f32>) {
    let mut random = SplitMix(seed);
    (0..len)
        .map(|_| {
            let r = reference(&mut random, kind);
            let r = if special { sprinkle(&mut random, r) } else { r };
            let c = fault(&mut random, r);
            (r, if special { sprinkle(&mut random, c) } else { c })
        })
        .unzip()
}

fn place_f32(value: f64) -> i64 {
    let bits = i64::from((value as f32).to_bits());
    if bits >= 1 << 31 { (1 << 31) - bits } else { bits }
}

/// `value` must be an `f32`.
fn place_f16(value: f64) -> i64 {
    let bits = i64::from(f16::from_f32(value as f32).to_bits());
    if bits >= 1 << 15 { (1 << 15) - bits } else { bits }
}

/// Checks one comparison of floats against sums and maxima taken one element at a time.
fn check(r: &[f64], c: &[f64], got: &Comparison, what: &str) {
    let same = |r: f64, c: f64| r == c || (r.is_nan() && c.is_nan());
    let differing: Vec<usize> = (0..r.len()).filter(|&i| !same(r[i], c[i])).collect();
    let finite: Vec<usize> =
        (0..r.len()).filter(|&i| r[i].is_finite() && c[i].is_finite()).collect();
    let d = |i: usize| (c[i] - r[i]).abs();
    let max = |f: &dyn Fn(usize) -> f64| finite.iter().map(|&i| f(i)).fold(0.0, f64::max);
    let sum = |f: &dyn Fn(usize) -> f64| finite.iter().map(|&i| f(i)).sum::<f64>();
    assert_eq!(got.mismatched, differing.len() as u64, "{what}");
    assert_eq!(got.finite, finite.len() as u64, "{what}");
    let disagreeing =
        differing.iter().filter(|&&i| !(r[i].is_finite() && c[i].is_finite())).count();
    assert_eq!(got.nonfinite.disagreeing, disagreeing as u64, "{what}");
    assert_eq!(
        got.nonfinite.candidate.nan,
        c.iter().filter(|v| v.is_nan()).count() as u64,
        "{what}"
    );
    assert_eq!(
        got.nonfinite.reference.neg_inf,
        r.iter().filter(|&&v| v == f64::NEG_INFINITY).count() as u64
    );
    assert_eq!(got.max_abs, max(&d), "{what}: max_abs");
    assert_eq!(
        got.max_rel,
        max(&|i| if r[i] == 0.0 { 0.0 } else { d(i) / r[i].abs() }),
        "{what}: max_rel"
    );
    for (point, rtol) in got.needed.0.iter().zip(GRID) {
        assert_eq!(point.rtol, rtol);
        assert_eq!(point.atol, max(&|i| d(i) - rtol * r[i].abs()), "{what}: needed at {rtol}");
    }
    let count = finite.len().max(1) as f64;
    approx::assert_relative_eq!(got.mean_abs, sum(&d) / count, max_relative = 1e-12);
    approx::assert_relative_eq!(
        got.rmse,
        (sum(&|i| d(i) * d(i)) / count).sqrt(),
        max_relative = 1e-12
    );
    let (d2, r2, c2) = (sum(&|i| d(i) * d(i)), sum(&|i| r[i] * r[i]), sum(&|i| c[i] * c[i]));
    let nmse = if d2 == 0.0 { 0.0 } else { d2 / r2 };
    approx::assert_relative_eq!(got.nmse, nmse, max_relative = 1e-12);
    let cosine = if d2 == 0.0 {
        1.0
    } else if r2 * c2 == 0.0 {
        0.0
    } else {
        sum(&|i| r[i] * c[i]) / r2.sqrt() / c2.sqrt()
    };
    approx::assert_relative_eq!(
        got.cosine,
        if finite.is_empty() { 0.0 } else { cosine },
        epsilon = 1e-12
    );
    check_worst(&differing, r, c, got, what);
}

fn check_worst(differing: &[usize], r: &[f64], c: &[f64], got: &Comparison, what: &str) {
    let severity = |i: usize| {
        if r[i].is_finite() && c[i].is_finite() { (c[i] - r[i]).abs() } else { f64::INFINITY }
    };
    let mut ranked = differing.to_vec();
    ranked.sort_by(|&a, &b| severity(b).total_cmp(&severity(a)).then(a.cmp(&b)));
    ranked.truncate(5);
    let worst: Vec<usize> = got.worst.iter().map(|worst| worst.index[0]).collect();
    assert_eq!(worst, ranked, "{what}: worst");
}

/// Checks distances and explanations for values that are exactly `f32`.
fn check_formats(r: &[f32], c: &[f32], got: &Comparison, what: &str) {
    let finite = || r.iter().zip(c).filter(|(r, c)| r.is_finite() && c.is_finite());
    let ulps = |place: fn(f64) -> i64| {
        finite().map(|(&r, &c)| place(r.into()).abs_diff(place(c.into()))).max().unwrap_or(0)
    };
    assert_eq!(got.max_ulp_f32, Some(ulps(place_f32)), "{what}: f32 ulps");
    assert_eq!(got.max_ulp_f16, Some(ulps(place_f16)), "{what}: f16 ulps");
    let mut best = None;
    for (format, rounding) in rounding::HYPOTHESES {
        let names = |(r, c): &(&f32, &f32)| {
            let rounded = |rounding| crate::tensor::round(f64::from(**r), format, rounding);
            rounded(Rounding::NearestEven).is_finite() && f64::from(**c) == rounded(rounding)
        };
        let differing = r.iter().zip(c).filter(|(r, c)| r != c && !(r.is_nan() && c.is_nan()));
        let share = differing.filter(names).count() as f64 / got.mismatched as f64;
        if share >= best.map_or(0.5, |best: Explanation| best.share.next_up()) {
            best = Some(Explanation { format, rounding, share });
        }
    }
    assert_eq!(got.explained_by, best, "{what}: explained");
}

#[test]
fn the_kernel_agrees_with_the_definitions() {
    for (seed, &len) in LENGTHS.iter().enumerate() {
        for (name, fault) in FAULTS {
            for (kind, special) in [(0, false), (0, true), (1, false), (1, true), (2, true)] {
                let (r, c) = pairs(seed as u64, len, kind, fault, special);
                let what = format!("{len} elements of kind {kind}, {name}, special {special}");
                let tensors = [&r, &c].map(|v| Tensor::from_f32(&[len], v.clone()).unwrap());
                let got = compare(&tensors[0], &tensors[1]).unwrap();
                let wide = [&r, &c].map(|v| v.iter().map(|&v| f64::from(v)).collect::<Vec<_>>());
                check(&wide[0], &wide[1], &got, &what);
                check_formats(&r, &c, &got, &what);
            }
        }
    }
}

#[test]
fn every_pair_of_float_types_agrees_with_the_definitions() {
    let len = 5000;
    for (name, fault) in FAULTS {
        let (r, c) = pairs(3, len, 0, fault, true);
        let forms = |v: &[f32]| {
            let array = ArrayD::from_shape_vec(vec![len], v.to_vec()).unwrap();
            [
                Tensor::F64(array.mapv(|v| f64::from(v) * 1.000_000_000_1)),
                Tensor::F16(array.mapv(f16::from_f32)),
                Tensor::Bf16(array.mapv(bf16::from_f32)),
                Tensor::F32(array),
            ]
        };
        for a in forms(&r) {
            for b in forms(&c) {
                let wide = [&a, &b].map(|tensor| match tensor {
                    Tensor::F64(array) => array.iter().copied().collect::<Vec<f64>>(),
                    Tensor::F32(array) => array.iter().map(|&v| v.into()).collect(),
                    Tensor::F16(array) => array.iter().map(|&v| v.into()).collect(),
                    Tensor::Bf16(array) => array.iter().map(|&v| v.into()).collect(),
                    _ => unreachable!("only floats are made"),
                });
                let what = format!("{} against {}, {name}", a.dtype(), b.dtype());
                let got = compare(&a, &b).unwrap();
                check(&wide[0], &wide[1], &got, &what);
                let narrow =
                    [&wide[0], &wide[1]].map(|v| v.iter().map(|&v| v as f32).collect::<Vec<f32>>());
                if a.dtype() != crate::tensor::Dtype::F64 && b.dtype() != crate::tensor::Dtype::F64
                {
                    check_formats(&narrow[0], &narrow[1], &got, &what);
                }
            }
        }
    }
}

/// The plain pass over `f64` and the kernel over `f32` must agree on the same values.
#[test]
fn both_passes_agree() {
    for (name, fault) in FAULTS {
        let (r, c) = pairs(11, 20_000, 1, fault, true);
        let single = [&r, &c].map(|v| Tensor::from_f32(&[v.len()], v.clone()).unwrap());
        let double = [&r, &c].map(|v| {
            Tensor::F64(v.iter().map(|&v| f64::from(v)).collect::<ndarray::Array1<_>>().into_dyn())
        });
        let [a, b] =
            [compare(&single[0], &single[1]).unwrap(), compare(&double[0], &double[1]).unwrap()];
        assert_eq!(
            (a.max_ulp_f32, a.max_ulp_f16, a.explained_by),
            (b.max_ulp_f32, b.max_ulp_f16, b.explained_by),
            "{name}"
        );
        assert_eq!(
            (a.needed, a.max_rel, a.nonfinite, a.typical),
            (b.needed, b.max_rel, b.nonfinite, b.typical),
            "{name}"
        );
        assert_eq!(a.preview, b.preview, "{name}");
    }
}

#[test]
fn integers_agree_with_the_definitions() {
    let mut random = SplitMix(5);
    let r: Vec<i32> = (0..3000).map(|_| random.bits() as i32).collect();
    let c: Vec<i32> = r
        .iter()
        .map(|&r| if random.bits().is_multiple_of(9) { random.bits() as i32 } else { r })
        .collect();
    let wide = [&r, &c].map(|v| v.iter().map(|&v| f64::from(v)).collect::<Vec<_>>());
    let [r, c] = [r, c].map(|v| Tensor::I32(ndarray::Array1::from(v).into_dyn()));
    let got = compare(&r, &c).unwrap();
    check(&wide[0], &wide[1], &got, "integers");
    assert_eq!((got.max_ulp_f16, got.explained_by), (None, None));
}

#[test]
fn the_number_of_threads_decides_nothing() {
    let (r, c) = pairs(7, 300_001, 0, FAULTS[1].1, true);
    let [r, c] = [r, c].map(|v| Tensor::from_f32(&[v.len()], v).unwrap());
    let with = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| compare(&r, &c).unwrap())
    };
    let one = with(1);
    assert_eq!(one.worst.len(), 5);
    for threads in [2, 3] {
        let many = with(threads);
        // Compared as text, since the worst elements are NaN.
        assert_eq!(serde_json::to_string(&many).unwrap(), serde_json::to_string(&one).unwrap());
    }
}

/// Products of subnormals round to whole steps. A bound made from such products must still not be too low.
#[test]
fn subnormal_differences_are_not_lost() {
    let steps = |count| vec![f32::from_bits(count); 3000];
    let (r, c) = (steps(7), steps(8));
    let [a, b] = [&r, &c].map(|v| Tensor::from_f32(&[v.len()], v.clone()).unwrap());
    let wide = [&r, &c].map(|v| v.iter().map(|&v| f64::from(v)).collect::<Vec<_>>());
    let got = compare(&a, &b).unwrap();
    assert!(got.needed.least_atol(0.1) > 0.0);
    check(&wide[0], &wide[1], &got, "one step of 7");
    check_formats(&r, &c, &got, "one step of 7");
}

#[test]
fn options_are_kept() {
    let (r, c) = pairs(9, 5000, 0, FAULTS[1].1, false);
    let [a, b] = [&r, &c].map(|v| Tensor::from_f32(&[v.len()], v.clone()).unwrap());
    for worst in [0, 1, 5000, 6000] {
        let got = compare_with(&a, &b, &CompareOptions { worst, extra_rtol: Some(3e-4) }).unwrap();
        assert_eq!(got.worst.len() as u64, (worst as u64).min(got.mismatched));
        let needed = r
            .iter()
            .zip(&c)
            .map(|(&r, &c)| (f64::from(c) - f64::from(r)).abs() - 3e-4 * f64::from(r).abs());
        assert_eq!(got.needed.least_atol(3e-4), needed.fold(0.0, f64::max));
        let tolerance = Tolerance::user(got.needed.least_atol(3e-4), 3e-4);
        assert!(tolerance.is_met_by(&got));
        assert_eq!(count_exceeding(&a, &b, &tolerance, got.typical), Ok(0));
        let tighter = Tolerance::user(tolerance.atol.next_down(), 3e-4);
        assert!(!tighter.is_met_by(&got));
        assert_eq!(count_exceeding(&a, &b, &tighter, got.typical), Ok(1));
    }
}
