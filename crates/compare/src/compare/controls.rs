//! Negative controls for the rules of comparison. Each test holds tensors that a wrong rule would pass, and the
//! judgement that they must get.

use super::*;
use crate::tensor::Tensor;

fn tensor(elements: &[f32]) -> Tensor {
    Tensor::from_f32(&[elements.len()], elements.to_vec()).unwrap()
}

fn judged(reference: &[f32], candidate: &[f32], judging: &Judging) -> Judgement {
    match compare(&tensor(reference), &tensor(candidate)) {
        Ok(comparison) => judge(&comparison, judging),
        Err(reason) => Judgement::from(&reason),
    }
}

fn strict() -> Judging {
    Judging::strict(Storage::named("f32").unwrap())
}

/// A judging whose tolerance every finite pair meets.
fn generous() -> Judging {
    Judging { user: Some(Tolerance::user(f64::MAX, 1.0)), ..strict() }
}

#[test]
fn a_nan_candidate_diverges_whatever_the_tolerance() {
    for judging in [strict(), generous()] {
        let judgement = judged(&[1.0, 2.0, 3.0], &[1.0, f32::NAN, 3.0], &judging);
        assert_eq!(
            (judgement.agreement, judgement.rule),
            (Agreement::Diverges, JudgementRule::Nonfinite)
        );
        assert_eq!(judgement.needed, None);
        assert_eq!(judged(&[1.0; 3], &[f32::NAN; 3], &judging).agreement, Agreement::Diverges);
    }
}

#[test]
fn opposite_infinities_diverge() {
    let (up, down) = (f32::INFINITY, f32::NEG_INFINITY);
    for judging in [strict(), generous()] {
        assert_eq!(judged(&[1.0, up], &[1.0, down], &judging).agreement, Agreement::Diverges);
        assert_eq!(judged(&[up], &[f32::NAN], &judging).agreement, Agreement::Diverges);
        assert_eq!(judged(&[1.0, up], &[1.0, 3e38], &judging).agreement, Agreement::Diverges);
        assert_eq!(judged(&[1.0, up], &[1.0, up], &judging).agreement, Agreement::Agrees);
    }
}

#[test]
fn an_infinity_in_the_reference_scales_nothing() {
    let judgement = judged(&[f32::INFINITY, 1.0, 2.0], &[f32::INFINITY, 1.5, 2.0], &strict());
    assert_eq!(judgement.agreement, Agreement::Diverges);
    let comparison =
        compare(&tensor(&[f32::INFINITY, 1.0]), &tensor(&[f32::INFINITY, 1.5])).unwrap();
    assert_eq!((comparison.max_abs, comparison.max_rel, comparison.nmse), (0.5, 0.5, 0.25));
}

#[test]
fn a_large_outlier_does_not_excuse_the_rest() {
    let mut reference = vec![1.0; 1000];
    reference[0] = 1e9;
    let mut candidate = reference.clone();
    candidate[999] = 2.0;
    assert_eq!(judged(&reference, &candidate, &strict()).agreement, Agreement::Diverges);
}

#[test]
fn a_nan_first_in_the_reference_hides_nothing() {
    let judgement = judged(&[f32::NAN, 1.0, 2.0], &[f32::NAN, 5.0, 2.0], &strict());
    assert_eq!(
        (judgement.agreement, judgement.rule),
        (Agreement::Diverges, JudgementRule::BeyondTolerance)
    );
    assert_eq!(judged(&[f32::NAN, 1.0], &[0.0, 1.0], &strict()).agreement, Agreement::Diverges);
}

#[test]
fn what_was_not_compared_does_not_agree() {
    // Two empty tensors of one shape cannot differ.
    let judgement = judged(&[], &[], &generous());
    assert_eq!(judgement.agreement, Agreement::Agrees);
    assert_eq!(judgement.words, "both have no elements");
    let judgement = judged(&[1.0], &[1.0, 1.0], &generous());
    assert_eq!(judgement.agreement, Agreement::Diverges);
    assert_eq!(judgement.words, "the reference has shape 1, the candidate 2");
    let integers = Tensor::I32(ndarray::arr1(&[1]).into_dyn());
    let reason = compare(&tensor(&[1.0]), &integers).unwrap_err();
    assert_eq!(reason.to_string(), "the reference holds f32, the candidate i32");
}

#[test]
fn a_tolerance_is_not_met_by_nothing() {
    let nans = [f32::NAN; 4];
    assert_eq!(judged(&nans, &nans, &strict()).rule, JudgementRule::Identical);
    let mut comparison = compare(&tensor(&nans), &tensor(&nans)).unwrap();
    assert_eq!((comparison.finite, comparison.max_abs, comparison.cosine), (0, 0.0, 0.0));
    comparison.mismatched = 1;
    assert_eq!(judge(&comparison, &generous()).agreement, Agreement::Diverges);
}

#[test]
fn a_report_whose_metrics_are_nan_diverges() {
    let comparison = compare(&tensor(&[1.0]), &tensor(&[1.0])).unwrap();
    let damaged = Comparison { max_abs: f64::NAN, ..comparison.clone() };
    assert_eq!(judge(&damaged, &generous()).agreement, Agreement::Diverges);
    let mut damaged = Comparison { mismatched: 1, ..comparison };
    damaged.needed.0.iter_mut().for_each(|point| point.atol = f64::NAN);
    assert_eq!(judge(&damaged, &generous()).agreement, Agreement::Diverges);
}

#[test]
fn a_saved_report_is_judged_as_the_fresh_one() {
    let reference = tensor(&[f32::INFINITY, 1.0, 0.1, -3.0]);
    let candidate = tensor(&[f32::NAN, 1.5, 0.1, -3.0]);
    let comparison = compare(&reference, &candidate).unwrap();
    let text = serde_json::to_string(&comparison).unwrap();
    let back: Comparison = serde_json::from_str(&text).unwrap();
    assert_eq!(judge(&back, &strict()), judge(&comparison, &strict()));
    assert!(
        text.contains(r#""reference":"inf","candidate":"nan","reference_bits":"0x7f800000""#),
        "{text}"
    );
    let comparison = compare(&candidate, &candidate).unwrap();
    assert_eq!(
        serde_json::from_str::<Comparison>(&serde_json::to_string(&comparison).unwrap()).unwrap(),
        comparison
    );
}

#[test]
fn rounding_is_explained_and_only_rounding() {
    let arange: Vec<f32> = (0..4048).map(|i| i as f32).collect();
    for (last, rounding) in [(4046.0, Rounding::TowardZero), (4048.0, Rounding::NearestEven)] {
        let stored: Vec<f32> = arange
            .iter()
            .map(|&v| crate::tensor::round(v.into(), Format::F16, rounding) as f32)
            .collect();
        assert_eq!(stored[4047], last);
        let comparison = compare(&tensor(&arange), &tensor(&stored)).unwrap();
        assert_eq!(
            comparison.explained_by,
            Some(Explanation { format: Format::F16, rounding, share: 1.0 })
        );
        let exact = Judging { strict: Tolerance::EXACT, ..strict() };
        assert_eq!(judge(&comparison, &exact).agreement, Agreement::Explained);
        let mut wrong = stored.clone();
        wrong[7] = 8.0;
        assert_eq!(judged(&arange, &wrong, &exact).agreement, Agreement::Diverges);
    }
}

#[test]
fn an_overflow_is_no_rounding() {
    let judgement = judged(&[1.0, 70000.0], &[1.0, f32::INFINITY], &strict());
    assert_eq!(
        (judgement.agreement, judgement.rule),
        (Agreement::Diverges, JudgementRule::Nonfinite)
    );
    let judgement = judged(&[1.0, 70000.0], &[1.0, f32::NEG_INFINITY], &strict());
    assert_eq!(judgement.agreement, Agreement::Diverges);
}

#[test]
fn the_user_overrides_what_is_declared() {
    let f16 = Declared::Storage(Storage::named("f16").unwrap());
    let declared = Judging { declared: f16, ..strict() };
    let judgement = judged(&[1.0, 2.0], &[1.0, 2.001], &declared);
    assert_eq!(
        (judgement.agreement, judgement.rule),
        (Agreement::Agrees, JudgementRule::DeclaredTolerance)
    );
    let asked = Judging { user: Some(Tolerance::user(1e-6, 0.0)), ..declared };
    let judgement = judged(&[1.0, 2.0], &[1.0, 2.001], &asked);
    assert_eq!((judgement.agreement, judgement.needed.unwrap().rtol), (Agreement::Diverges, 0.0));
    approx::assert_relative_eq!(judgement.needed.unwrap().atol, 0.001, max_relative = 1e-3);
    let asked = Judging { user: Some(Tolerance::user(0.01, 0.0)), ..declared };
    assert_eq!(judged(&[1.0, 2.0], &[1.0, 2.001], &asked).rule, JudgementRule::UserTolerance);
}

#[test]
fn large_integers_keep_their_last_digit() {
    let integers = |value: i64| Tensor::I64(ndarray::arr1(&[value, i64::MIN]).into_dyn());
    let comparison = compare(&integers(1 << 53), &integers((1 << 53) + 1)).unwrap();
    assert_eq!((comparison.mismatched, comparison.max_abs, comparison.max_ulp_f32), (1, 1.0, None));
    assert_eq!(comparison.worst[0].candidate_bits, "0x0020000000000001");
    let unsigned = Tensor::U64(ndarray::arr1(&[1 << 53, 1 << 63]).into_dyn());
    assert_eq!(compare(&integers(1 << 53), &unsigned).unwrap().max_abs, 2f64.powi(64));
    let judging = Judging::strict(Storage::named("i64").unwrap());
    assert_eq!(judge(&comparison, &judging).agreement, Agreement::Diverges);
}

#[test]
fn any_layout_in_memory_is_read_in_order() {
    let rows = ndarray::arr2(&[[1.0f32, 2.0, 3.0], [4.0, 5.0, 6.0]]);
    let columns =
        Tensor::F32(rows.t().as_standard_layout().reversed_axes().into_owned().into_dyn());
    assert_eq!(compare(&Tensor::F32(rows.into_dyn()), &columns).unwrap().mismatched, 0);
}

#[test]
fn a_rounding_the_target_does_not_declare_is_no_excuse() {
    let own = Judging { declared: Declared::Own, ..strict() };
    assert_eq!(judged(&[4045.0, 4047.0], &[4044.0, 4046.0], &own).agreement, Agreement::Diverges);
    let f16 = Judging { declared: Declared::Storage(Storage::named("f16").unwrap()), ..strict() };
    assert_eq!(judged(&[4045.0, 4047.0], &[4044.0, 4046.0], &f16).agreement, Agreement::Explained);
}

/// Scaling both tensors by a power of two scales the absolute metrics and keeps the relative metrics.
#[test]
fn sizes_beyond_the_range_of_squares_change_nothing() {
    let doubles = |values: &[f64]| Tensor::F64(ndarray::Array1::from(values.to_vec()).into_dyn());
    let reference = [3.0, -1.25, 0.5, 2.0, -0.75, 1.0];
    let candidate = [2.5, -1.5, 0.75, 2.25, 0.5, 1.0];
    let at = |power: i32| {
        let unit = 2f64.powi(power / 2) * 2f64.powi(power - power / 2);
        let scaled = |values: &[f64]| doubles(&values.iter().map(|v| v * unit).collect::<Vec<_>>());
        let found = compare(&scaled(&reference), &scaled(&candidate)).unwrap();
        (found.rel_l2, found.nmse, found.cosine, found.rmse / unit, found.mean_abs / unit)
    };
    let ordinary = at(0);
    for power in [-1015, -1000, -700, -520, -451, -449, 449, 451, 520, 700, 1000, 1020] {
        assert_eq!(at(power), ordinary, "2^{power}");
    }
    // Here Σ|d| is beyond the range of `f64`, but the mean of |d| is not.
    let [large, opposite] = [doubles(&[1e308; 40]), doubles(&[-1e308; 40])];
    let found = compare(&large, &opposite).unwrap();
    assert_eq!((found.rel_l2, found.cosine, found.nmse), (2.0, -1.0, 4.0));
    let found = compare(&large, &doubles(&[0.5e308; 40])).unwrap();
    assert!((found.mean_abs / 0.5e308 - 1.0).abs() < 1e-14 && found.rel_l2 == 0.5, "{found:?}");
    let found = compare(&doubles(&[1e-200; 3]), &doubles(&[-1e-200; 3])).unwrap();
    assert_eq!((found.rel_l2, found.cosine), (2.0, -1.0));
    // Sizes of every kind in one tensor, and a quotient whose square overflows.
    let found = compare(&doubles(&[1e200, 1.0, 1e-200]), &doubles(&[1e200, 1.0, -1e-200])).unwrap();
    assert_eq!((found.rel_l2, found.cosine), (0.0, 1.0));
    let found = compare(&doubles(&[1e-150, 0.0]), &doubles(&[1e-150, 1e150])).unwrap();
    assert!((found.rel_l2 / 1e300 - 1.0).abs() < 1e-14 && found.nmse == f64::INFINITY);
}
