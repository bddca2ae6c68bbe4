//! The tolerance frontier: the absolute tolerance that each relative tolerance needs.
//!
//! A pair passes (rtol, atol) if |d| ≤ atol + rtol·|r|. So the least atol for a given rtol is
//! max(0, max(|d| − rtol·|r|)). As the maximum of straight lines, this need is convex in rtol. Between two grid
//! points, the need is at most the chord. Each of the two points and its outer neighbour define a line, and the need
//! is at least both lines. So the need is known exactly at a grid point, and within bounds at every other rtol.

use super::number;
use serde::{Deserialize, Serialize};

/// The relative tolerances that are always measured: the decades, and the tolerances of [`super::STORAGE`].
pub(super) const GRID: [f64; 9] = [0.0, 1e-9, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 8e-2, 1e-1];

/// How much rounding may add to a bound, as a share of the largest difference. A bound is taken from points up
/// to three decades apart, each correct to 2^-53 of the largest difference. This share is well beyond a
/// thousand times that error.
const ROUNDING: f64 = 1e-12;

/// One point of the frontier.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FrontierPoint {
    /// The relative tolerance.
    #[serde(with = "number")]
    #[cfg_attr(feature = "schema", schemars(with = "number::NumberText"))]
    pub rtol: f64,
    /// The least absolute tolerance that every finite pair meets at this relative tolerance.
    #[serde(with = "number")]
    #[cfg_attr(feature = "schema", schemars(with = "number::NumberText"))]
    pub atol: f64,
}

/// The frontier at its grid points, `rtol` ascending from 0.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct Frontier(pub Vec<FrontierPoint>);

impl Frontier {
    /// An absolute tolerance that every finite pair meets at `rtol`.
    ///
    /// At a grid point, the result is the least such tolerance. Between two grid points, the result is an upper
    /// bound: the chord. Beyond the last point, the result is the last point's tolerance. For a negative or NaN
    /// `rtol`, the result is NaN, and no difference is within NaN.
    pub fn least_atol(&self, rtol: f64) -> f64 {
        let above = self.0.iter().position(|point| point.rtol >= rtol);
        match (above, self.0.last()) {
            (Some(at), _) if self.0[at].rtol == rtol => self.0[at].atol,
            (Some(0), _) | (None, None) => f64::NAN,
            (Some(at), _) => line(self.0[at - 1], self.0[at], rtol),
            (None, Some(last)) if rtol >= last.rtol => last.atol,
            (None, Some(_)) => f64::NAN,
        }
    }
}

impl Frontier {
    /// The lower and the upper bound of the least absolute tolerance at `rtol`. Both are equal if the
    /// tolerance is known exactly.
    pub(super) fn bounds(&self, rtol: f64) -> [f64; 2] {
        let most = self.least_atol(rtol);
        let known = self.0.iter().any(|point| point.rtol == rtol);
        // From some grid point on, no tolerance is needed, so none is needed later either.
        if known || most == 0.0 || most.is_nan() {
            return [most; 2];
        }
        let (below, above) = self.0.split_at(self.0.partition_point(|point| point.rtol < rtol));
        let before = match below {
            [.., first, second] => line(*first, *second, rtol),
            _ => 0.0,
        };
        let behind = match above {
            [first, second, ..] => line(*first, *second, rtol),
            _ => 0.0,
        };
        let next = above.first().map_or(0.0, |point| point.atol);
        let slack = self.slack();
        [(before.max(behind).max(next) - slack).max(0.0), most + slack]
    }

    /// How far rounding may move a bound.
    pub(super) fn slack(&self) -> f64 {
        self.0.first().map_or(0.0, |point| ROUNDING * point.atol)
    }
}

/// The straight line through two points, at `rtol`.
fn line(first: FrontierPoint, second: FrontierPoint, rtol: f64) -> f64 {
    let share = (rtol - first.rtol) / (second.rtol - first.rtol);
    first.atol + share * (second.atol - first.atol)
}

/// The grid, with the caller's own point sorted in if that point is usable.
pub(super) fn grid(extra: Option<f64>) -> Vec<f64> {
    let usable = extra.filter(|rtol| rtol.is_finite() && *rtol >= 0.0);
    let mut grid: Vec<f64> = GRID.into_iter().chain(usable).collect();
    grid.sort_by(f64::total_cmp);
    grid.dedup();
    grid
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frontier(points: &[(f64, f64)]) -> Frontier {
        Frontier(points.iter().map(|&(rtol, atol)| FrontierPoint { rtol, atol }).collect())
    }

    #[test]
    fn between_grid_points_the_chord_is_used() {
        let frontier = frontier(&[(0.0, 8.0), (0.1, 4.0)]);
        assert_eq!(frontier.least_atol(0.0), 8.0);
        assert_eq!(frontier.least_atol(0.05), 6.0);
        assert_eq!(frontier.least_atol(0.1), 4.0);
        assert_eq!(frontier.least_atol(0.5), 4.0);
    }

    /// Differences of any size against references of any size, and tolerances between the grid points.
    #[test]
    fn the_need_is_within_its_bounds() {
        let share = |i: usize, step: f64| (i as f64 * step).fract();
        for seed in 1..40 {
            let pairs: Vec<(f64, f64)> = (1..50)
                .map(|i| {
                    let size = 10f64.powf(6.0 * share(i * seed, 0.618_033_988_7) - 3.0);
                    (size, size * 10f64.powf(-6.0 * share(i * seed, 0.754_877_666_2)))
                })
                .collect();
            let need = |rtol: f64| pairs.iter().map(|(r, d)| d - rtol * r).fold(0.0, f64::max);
            let frontier = frontier(&GRID.map(|rtol| (rtol, need(rtol))));
            for step in 0..200 {
                let rtol = 10f64.powf(-10.0 + 0.05 * f64::from(step));
                let [least, most] = frontier.bounds(rtol);
                let need = need(rtol);
                assert!(least <= need && need <= most, "{seed} {rtol}: {least} {need} {most}");
            }
            assert!(GRID.iter().all(|&rtol| frontier.bounds(rtol) == [need(rtol); 2]));
        }
    }

    #[test]
    fn where_one_element_decides_the_bounds_meet() {
        let need = |rtol: f64| (1.0 - 2.0 * rtol).max(0.0);
        let frontier = frontier(&GRID.map(|rtol| (rtol, need(rtol))));
        let [least, most] = frontier.bounds(5e-4);
        assert!(most - least < 1e-11 && least <= 0.999 && 0.999 <= most, "{least} {most}");
        // Beyond the last point, the need is only known to fall.
        assert_eq!(frontier.bounds(0.2)[1], 0.8 + 1e-12);
        assert!((frontier.bounds(0.2)[0] - 0.6).abs() < 1e-11);
    }

    #[test]
    fn nonsense_is_never_met() {
        assert!(frontier(&[(0.0, 8.0)]).least_atol(-1.0).is_nan());
        assert!(frontier(&[(0.0, 8.0)]).least_atol(f64::NAN).is_nan());
        assert!(frontier(&[]).least_atol(0.0).is_nan());
    }

    #[test]
    fn an_extra_point_is_sorted_in_once() {
        assert_eq!(grid(Some(0.05))[7], 0.05);
        assert_eq!(grid(Some(1e-3)).len(), GRID.len());
        assert_eq!(grid(Some(-0.0)).len(), GRID.len());
        assert_eq!(grid(Some(f64::NAN)).len(), GRID.len());
    }
}
