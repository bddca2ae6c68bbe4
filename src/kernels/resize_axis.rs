//! One axis to resize: the origin of each place of the result, and the elements around the origin.
//!
//! The nearest element is refused if only the rounding of an engine's `f32` decides which element is nearest.

use super::Refused;
use super::grid_sample::cubic;
use super::layout::extent;

/// The rule that maps a place of the result to a position in the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transform {
    HalfPixel,
    Symmetric,
    PyTorch,
    AlignCorners,
    Asymmetric,
}

/// How a position between two elements is rounded to one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Nearest {
    PreferFloor,
    PreferCeil,
    Floor,
    Ceil,
}

impl Nearest {
    fn round(self, origin: f64) -> f64 {
        match self {
            Nearest::PreferFloor => (origin - 0.5).ceil(),
            Nearest::PreferCeil => (origin + 0.5).floor(),
            Nearest::Floor => origin.floor(),
            Nearest::Ceil => origin.ceil(),
        }
    }
}

/// How weights change from one element to the next.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Curve {
    Linear,
    Cubic { a: f64, exclude: bool },
}

/// An axis to resize.
#[derive(Debug, Clone, Copy)]
pub(super) struct ResizeAxis {
    /// The extent of the input.
    pub(super) from: usize,
    /// The extent of the result.
    pub(super) to: usize,
    /// The node's scale. `None` if the node has sizes: the scale is then the quotient of the extents.
    pub(super) scale: Option<f64>,
}

impl ResizeAxis {
    /// An axis that keeps its extent.
    pub(super) fn kept(from: usize) -> Self {
        ResizeAxis { from, to: from, scale: None }
    }

    /// An axis with a scale from the node.
    pub(super) fn scaled(from: usize, scale: f64) -> Result<Self, Refused> {
        if !(scale > 0.0 && scale.is_finite()) {
            return Err(format!("a scale of {scale}"));
        }
        // Engines and ONNX's shape inference multiply in f32. f64 would sometimes result in one element less.
        let to = (from as f32 * scale as f32).floor();
        Ok(ResizeAxis { from, to: extent(to as i64)?, scale: Some(scale) })
    }

    /// Whether the axis needs no resizing.
    pub(super) fn is_kept(self) -> bool {
        self.from == self.to && self.scale.is_none_or(|scale| scale == 1.0)
    }

    /// Converts a distance in the result to a distance in the input.
    fn back(self, at: f64) -> f64 {
        match self.scale {
            Some(scale) => at / scale,
            // One rounding only: places halfway between elements stay there.
            None => at * self.from as f64 / self.to as f64,
        }
    }

    /// The position of a result's place in the input.
    fn origin(self, at: usize, transform: Transform) -> f64 {
        let place = at as f64;
        let half = || self.back(place + 0.5) - 0.5;
        match transform {
            Transform::HalfPixel => half(),
            Transform::PyTorch if self.to > 1 => half(),
            Transform::AlignCorners if self.to > 1 => {
                place * (self.from as f64 - 1.0) / (self.to as f64 - 1.0)
            }
            Transform::PyTorch | Transform::AlignCorners => 0.0,
            Transform::Asymmetric => self.back(place),
            Transform::Symmetric => {
                let width = self.scale.map_or(self.to as f64, |scale| scale * self.from as f64);
                self.from as f64 / 2.0 * (1.0 - self.to as f64 / width) + half()
            }
        }
    }

    /// The element nearest to a place.
    pub(super) fn nearest(
        self,
        at: usize,
        transform: Transform,
        nearest: Nearest,
    ) -> Result<usize, Refused> {
        let origin = self.origin(at, transform);
        let slack = 4.0 * f64::from(f32::EPSILON) * origin.abs().max(1.0);
        let rounded = |origin: f64| self.clamped(nearest.round(origin));
        let decided = rounded(origin - slack) == rounded(origin + slack);
        let on_boundary = (2.0 * origin).fract() == 0.0 && self.is_exact(at, transform);
        if decided || on_boundary {
            Ok(rounded(origin))
        } else {
            Err(format!("rounding decides which element is nearest to {origin}"))
        }
    }

    /// Whether an engine's `f32` holds the scale and so finds the same boundary as `f64`.
    fn is_exact(self, at: usize, transform: Transform) -> bool {
        let (from, to) = (self.from as f64, self.to as f64);
        let scale = self.scale.unwrap_or_else(|| f64::from(self.to as f32 / self.from as f32));
        match transform {
            Transform::AlignCorners => true,
            Transform::Asymmetric if at == 0 => true,
            Transform::Symmetric => scale * from == to,
            _ => self.scale.is_some() || scale * from == to,
        }
    }

    fn clamped(self, place: f64) -> usize {
        place.clamp(0.0, self.from as f64 - 1.0) as usize
    }

    /// The elements that make a place of the result, with their weights.
    pub(super) fn taps(self, at: usize, transform: Transform, curve: Curve) -> Vec<(usize, f64)> {
        let origin = self.origin(at, transform);
        let floor = origin.floor();
        let past = origin - floor;
        let Curve::Cubic { a, exclude } = curve else {
            return vec![(self.clamped(floor), 1.0 - past), (self.clamped(floor + 1.0), past)];
        };
        let mut weights = cubic(past, a);
        let places: [f64; 4] = std::array::from_fn(|tap| floor - 1.0 + tap as f64);
        if exclude {
            let inside = 0.0..self.from as f64;
            for (weight, place) in weights.iter_mut().zip(places) {
                *weight *= f64::from(u8::from(inside.contains(&place)));
            }
            let sum: f64 = weights.iter().sum();
            weights = weights.map(|weight| weight / sum);
        }
        places.into_iter().map(|place| self.clamped(place)).zip(weights).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scale_gives_the_extent_that_f32_gives() {
        // In f64, 10 times the f32 nearest to 0.7 is less than 7.
        assert_eq!(ResizeAxis::scaled(10, f64::from(0.7f32)).unwrap().to, 7);
        assert!(ResizeAxis::scaled(10, -1.0).is_err());
        assert!(ResizeAxis::scaled(1, 1.0).unwrap().is_kept());
        assert!(!ResizeAxis::scaled(2, 1.2).unwrap().is_kept());
    }

    #[test]
    fn boundaries_need_an_exact_scale() {
        let third = ResizeAxis { from: 3, to: 9, scale: None };
        let places: Vec<_> =
            (0..9).map(|at| third.nearest(at, Transform::Asymmetric, Nearest::Floor)).collect();
        assert!(places.iter().all(Result::is_ok));
        assert_eq!(places[3], Ok(1));
        let odd = ResizeAxis { from: 6, to: 10, scale: None };
        assert_eq!(odd.nearest(0, Transform::Asymmetric, Nearest::Ceil), Ok(0));
        assert!(odd.nearest(5, Transform::Asymmetric, Nearest::Floor).is_err());
        assert_eq!(odd.nearest(4, Transform::Asymmetric, Nearest::Floor), Ok(2));
    }

    #[test]
    fn weights_outside_are_shared_among_the_rest() {
        let axis = ResizeAxis { from: 2, to: 4, scale: None };
        for exclude in [false, true] {
            let taps = axis.taps(0, Transform::HalfPixel, Curve::Cubic { a: -0.75, exclude });
            let sum: f64 = taps.iter().map(|(_, weight)| weight).sum();
            assert!((sum - 1.0).abs() < 1e-12);
            assert_eq!(taps[0].1 == 0.0, exclude);
        }
    }
}
