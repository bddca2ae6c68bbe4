//! The tolerance frontier: how much absolute tolerance is needed beside each relative one.
//!
//! A pair passes (rtol, atol) if |d| ≤ atol + rtol·|r|, so the least atol for a given rtol is
//! max(0, max(|d| − rtol·|r|)). As the maximum of straight lines it is convex in rtol, hence between
//! two grid points it lies below the chord: interpolation never promises too little.

use super::number;
use serde::{Deserialize, Serialize};

/// The relative tolerances measured always: the decades, and those of [`super::STORAGE`].
pub(super) const GRID: [f64; 9] = [0.0, 1e-9, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 8e-2, 1e-1];

/// One point of the frontier.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Needed {
    /// The relative tolerance.
    #[serde(with = "number")]
    pub rtol: f64,
    /// The least absolute tolerance that every finite pair meets beside it.
    #[serde(with = "number")]
    pub atol: f64,
}

/// The frontier at its grid points, `rtol` ascending from 0.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Frontier(pub Vec<Needed>);

impl Frontier {
    /// An absolute tolerance that every finite pair meets beside `rtol`.
    ///
    /// It is the least one at a grid point, an upper bound of it between two (the chord) and beyond
    /// the last (the last). It is NaN for an `rtol` that is negative or NaN, and nothing is within NaN.
    pub fn least_atol(&self, rtol: f64) -> f64 {
        let above = self.0.iter().position(|point| point.rtol >= rtol);
        match (above, self.0.last()) {
            (Some(at), _) if self.0[at].rtol == rtol => self.0[at].atol,
            (Some(0), _) | (None, None) => f64::NAN,
            (Some(at), _) => chord(self.0[at - 1], self.0[at], rtol),
            (None, Some(last)) if rtol >= last.rtol => last.atol,
            (None, Some(_)) => f64::NAN,
        }
    }
}

fn chord(below: Needed, above: Needed, rtol: f64) -> f64 {
    let share = (rtol - below.rtol) / (above.rtol - below.rtol);
    below.atol + share * (above.atol - below.atol)
}

/// The grid with the caller's own point in its place, if it has one that can be used.
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
        Frontier(points.iter().map(|&(rtol, atol)| Needed { rtol, atol }).collect())
    }

    #[test]
    fn between_grid_points_the_chord_is_used() {
        let frontier = frontier(&[(0.0, 8.0), (0.1, 4.0)]);
        assert_eq!(frontier.least_atol(0.0), 8.0);
        assert_eq!(frontier.least_atol(0.05), 6.0);
        assert_eq!(frontier.least_atol(0.1), 4.0);
        assert_eq!(frontier.least_atol(0.5), 4.0);
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
