//! Samples a tensor at the positions in a grid.
//!
//! Each axis has a few taps with weights. A sample is the sum over all combinations of taps.
//! Padding is applied to each tap, not to the sampling position, as in PyTorch and ONNX Runtime.
//! The difference matters only for the cubic mode with `border`.

use super::call::Kernel;
use super::layout::{count, flag, floats, only_reals, strides, text};
use super::{Call, Refused};
use crate::tensor::{Tensor, element_count};

/// The kernels of this file.
pub(super) const GRID_SAMPLE: &[(&str, Kernel)] = &[("GridSample", grid_sample)];

/// Coordinates beyond this number have no fraction in `f64`.
const FARTHEST: f64 = 4_503_599_627_370_496.0;

/// The coefficient that PyTorch and ONNX Runtime use for cubic samples.
const CUBIC: f64 = -0.75;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SampleMode {
    Nearest,
    Linear,
    Cubic,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Padding {
    Zeros,
    Border,
    Reflection,
}

/// How to sample.
#[derive(Debug, Clone, Copy)]
struct Sampler {
    mode: SampleMode,
    padding: Padding,
    align: bool,
}

/// An element with its weight in a sample. The position, along one axis or flat, is `None` in zero padding.
type SampleTap = (Option<usize>, f64);

impl Sampler {
    fn of(call: &Call<'_>, axes: usize) -> Result<Self, Refused> {
        let mode = match text(call, "mode", "linear")? {
            "nearest" => SampleMode::Nearest,
            "linear" | "bilinear" => SampleMode::Linear,
            "cubic" | "bicubic" if axes == 2 => SampleMode::Cubic,
            other => return Err(format!("mode {other} over {axes} axes")),
        };
        let padding = match text(call, "padding_mode", "zeros")? {
            "zeros" => Padding::Zeros,
            "border" => Padding::Border,
            "reflection" => Padding::Reflection,
            other => return Err(format!("padding_mode {other}")),
        };
        Ok(Sampler { mode, padding, align: flag(call, "align_corners", false)? })
    }

    /// The taps of a normalized coordinate along an axis.
    fn taps(self, coordinate: f64, extent: usize) -> Result<Vec<SampleTap>, Refused> {
        let length = extent as f64;
        let at = if self.align {
            (coordinate + 1.0) / 2.0 * (length - 1.0)
        } else {
            ((coordinate + 1.0) * length - 1.0) / 2.0
        };
        if !at.is_finite() || (at.abs() > FARTHEST && self.padding == Padding::Reflection) {
            return Err(format!("a grid position of {coordinate}"));
        }
        // This far outside the tensor, the padding alone decides.
        let at = at.clamp(-FARTHEST, FARTHEST);
        let floor = at.floor();
        let first = floor as i64;
        let tap = |offset: i64, weight: f64| (self.place(first + offset, extent), weight);
        let past = at - floor;
        Ok(match self.mode {
            SampleMode::Nearest => vec![(self.place(at.round_ties_even() as i64, extent), 1.0)],
            SampleMode::Linear => vec![tap(0, 1.0 - past), tap(1, past)],
            SampleMode::Cubic => {
                let weights = cubic(past, CUBIC);
                (0..4).map(|at| tap(at as i64 - 1, weights[at])).collect()
            }
        })
    }

    /// The element that the padding puts at a position.
    fn place(self, at: i64, extent: usize) -> Option<usize> {
        let length = i64::try_from(extent).ok()?;
        let inside = (0..length).contains(&at);
        let place = match self.padding {
            _ if inside => at,
            Padding::Zeros => return None,
            Padding::Border => at.clamp(0, length - 1),
            Padding::Reflection if self.align => {
                let around = at.rem_euclid((2 * (length - 1)).max(1));
                if around < length { around } else { 2 * (length - 1) - around }
            }
            Padding::Reflection => {
                let around = at.rem_euclid(2 * length);
                if around < length { around } else { 2 * length - 1 - around }
            }
        };
        usize::try_from(place).ok()
    }
}

/// The weights of the four elements around a position, with the coefficient `a` of the standard.
pub(super) fn cubic(past: f64, a: f64) -> [f64; 4] {
    let near = |x: f64| ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0;
    let far = |x: f64| ((a * x - 5.0 * a) * x + 8.0 * a) * x - 4.0 * a;
    [far(past + 1.0), near(past), near(1.0 - past), far(2.0 - past)]
}

fn grid_sample(call: &Call<'_>) -> Result<Vec<Tensor>, Refused> {
    let (input, grid) = (floats(call, 0)?, floats(call, 1)?);
    let ([batch, channels, spatial @ ..], [grids, out @ .., axes]) =
        (&input.shape[..], &grid.shape[..])
    else {
        return Err("an input or a grid without axes".to_owned());
    };
    let fits = spatial.len() == *axes && out.len() == *axes && batch == grids;
    if !fits || !(2..=3).contains(axes) {
        return Err(format!("a grid {:?} does not fit an input {:?}", grid.shape, input.shape));
    }
    let sampler = Sampler::of(call, *axes)?;
    let mut shape = vec![*batch, *channels];
    shape.extend(out);
    let mut values = vec![0.0; count(&shape)?];
    if values.is_empty() {
        return only_reals(&shape, values);
    }
    if spatial.contains(&0) {
        return Err("an input without elements".to_owned());
    }
    let (plane, positions) = (count(spatial)?, element_count(out).unwrap_or(0));
    for (row, at) in grid.values.chunks(*axes).enumerate() {
        let (image, position) = (row / positions, row % positions);
        let taps = combined(sampler, at, spatial)?;
        for channel in image * channels..(image + 1) * channels {
            let from = &input.values[channel * plane..][..plane];
            values[channel * positions + position] = sample(from, &taps);
        }
    }
    only_reals(&shape, values)
}

/// The taps of all axes together; a grid names the innermost axis first.
fn combined(sampler: Sampler, at: &[f64], spatial: &[usize]) -> Result<Vec<SampleTap>, Refused> {
    let steps = strides(spatial);
    let mut all: Vec<SampleTap> = vec![(Some(0), 1.0)];
    for (axis, &coordinate) in at.iter().rev().enumerate() {
        let taps = sampler.taps(coordinate, spatial[axis])?;
        let longer = all.iter().flat_map(|&(before, weight)| {
            let step = steps[axis];
            taps.iter().map(move |&(place, by)| {
                (before.zip(place).map(|(before, place)| before + place * step), weight * by)
            })
        });
        all = longer.collect();
    }
    Ok(all)
}

fn sample(from: &[f64], taps: &[SampleTap]) -> f64 {
    taps.iter().filter_map(|&(place, weight)| Some(from[place?] * weight)).sum()
}

#[cfg(test)]
mod tests {
    use super::super::call::Reals;
    use super::*;
    use crate::graph::Attribute;
    use std::collections::BTreeMap;

    fn run(
        attributes: &[(&str, &str)],
        align: i64,
        input: Reals,
        grid: Reals,
    ) -> Result<Reals, Refused> {
        let texts =
            attributes.iter().map(|&(name, value)| (name, Attribute::Text(value.to_owned())));
        let mut attributes: BTreeMap<String, Attribute> =
            texts.map(|(name, value)| (name.to_owned(), value)).collect();
        attributes.insert("align_corners".to_owned(), Attribute::Int(align));
        let inputs = [Some(input.into_tensor()?), Some(grid.into_tensor()?)];
        let op_type = "GridSample";
        let call =
            Call { op_type, opset: 20, attributes: &attributes, inputs: &inputs, outputs: 1 };
        grid_sample(&call).map(|outputs| Reals::of(&outputs[0]))
    }

    fn row(attributes: &[(&str, &str)], align: i64, at: &[f64]) -> Result<Vec<f64>, Refused> {
        let input = Reals::new(&[1, 1, 1, 4], vec![1.0, 2.0, 4.0, 8.0]);
        let grid = at.iter().flat_map(|&x| [x, 0.0]).collect();
        let grid = Reals::new(&[1, 1, at.len(), 2], grid);
        run(attributes, align, input, grid).map(|result| result.values)
    }

    #[test]
    fn corners_are_centers_or_edges() {
        assert_eq!(row(&[], 1, &[-1.0, 1.0, 0.0]).unwrap(), [1.0, 8.0, 3.0]);
        // Without alignment, -1 is half an element outside the row: the other half is zeros.
        assert_eq!(row(&[], 0, &[-1.0, 0.0]).unwrap(), [0.5, 3.0]);
        let border = [("padding_mode", "border")];
        assert_eq!(row(&border, 0, &[-1.0, 9.0]).unwrap(), [1.0, 8.0]);
    }

    #[test]
    fn reflections_turn_at_the_center_or_the_edge() {
        let reflect = [("padding_mode", "reflection"), ("mode", "nearest")];
        // Positions -1, -2, 4, 5 of the row.
        let aligned = [-5.0 / 3.0, -7.0 / 3.0, 5.0 / 3.0, 7.0 / 3.0];
        assert_eq!(row(&reflect, 1, &aligned).unwrap(), [2.0, 4.0, 4.0, 2.0]);
        let edges = [-1.25, -1.75, 1.25, 1.75];
        assert_eq!(row(&reflect, 0, &edges).unwrap(), [1.0, 2.0, 8.0, 4.0]);
    }

    #[test]
    fn halves_round_to_even() {
        let nearest = [("mode", "nearest")];
        // Positions 0.5, 1.5 and 2.5.
        assert_eq!(row(&nearest, 0, &[-0.5, 0.0, 0.5]).unwrap(), [1.0, 4.0, 4.0]);
    }

    #[test]
    fn cubic_clips_each_tap_to_the_border() {
        let cubic = [("mode", "cubic"), ("padding_mode", "border")];
        // Position -0.5: weights -0.09375, 0.59375, 0.59375, -0.09375 at -2, -1, 0, 1.
        let result = row(&cubic, 0, &[-1.0]).unwrap();
        assert!((result[0] - (1.0 - 0.09375)).abs() < 1e-12, "{result:?}");
    }

    #[test]
    fn volumes_have_three_axes() {
        let input = Reals::new(&[1, 1, 2, 1, 1], vec![3.0, 5.0]);
        let grid = Reals::new(&[1, 1, 1, 1, 3], vec![0.0, 0.0, 1.0]);
        assert_eq!(run(&[], 1, input, grid).unwrap().values, [5.0]);
    }

    #[test]
    fn odd_forms_are_refused() {
        assert!(row(&[], 0, &[f64::NAN]).is_err());
        assert!(row(&[("mode", "wild")], 0, &[0.0]).is_err());
        assert!(row(&[], 2, &[0.0]).is_err());
        let input = Reals::new(&[1, 1, 2], vec![3.0, 5.0]);
        assert!(run(&[], 0, input, Reals::new(&[1, 1, 1], vec![0.0])).is_err());
        assert_eq!(row(&[], 0, &[1e30]).unwrap(), [0.0]);
    }
}
