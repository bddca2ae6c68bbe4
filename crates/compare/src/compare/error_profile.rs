//! A summary of an error, small enough to keep. The summary shows how errors spread over sizes and over the tensor, a
//! sample of values, and the worst elements.
//!
//! Errors are counted by quarter decades below the largest error, forty in all. The histogram and the map share these
//! levels. An error profile has at most about 15 kB of JSON for a tensor of any size.

use super::element::{numbers, row_major};
use super::measure::{CompareOptions, compare_with};
use super::preview::general;
use super::worst::Worst;
use crate::tensor::{Tensor, map_extents, place_in_map};
use serde::{Deserialize, Serialize};

/// Levels per decade.
const PER_DECADE: f64 = 4.0;
/// Number of levels: ten decades.
const LEVELS: usize = 40;
/// The most rows and the most columns of a map.
const MOST_CELLS: usize = 64;
/// The most pairs to sample.
const MOST_PAIRS: usize = 400;
/// The most worst elements to keep.
const MOST_WORST: usize = 8;
/// Elements read at once.
const CHUNK: usize = 4096;

/// The differences of a candidate from a reference, ready to be drawn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ErrorProfile {
    /// The extent of each axis.
    pub shape: Vec<usize>,
    /// The number of elements with an error of each size.
    pub histogram: Histogram,
    /// The positions of the errors.
    pub map: ErrorMap,
    /// Evenly strided elements, `reference:candidate` with six digits, separated by blanks.
    pub pairs: String,
    /// The worst elements, worst first.
    pub worst: Vec<Worst>,
}

/// Errors by size.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Histogram {
    /// Level `n` begins at 10^((start + n) / 4).
    pub start: i32,
    /// Elements in each of the 40 levels of |d|. The first level also counts smaller differences.
    pub counts: Vec<u64>,
    /// Elements without error.
    pub equal: u64,
    /// NaN and infinities on one side only, or of different kinds.
    pub disagreeing: u64,
}

/// The largest error in each part of the tensor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ErrorMap {
    /// The axis that the rows show.
    pub rows: Axis,
    /// The axis that the columns show.
    pub columns: Axis,
    /// One string for each row, one letter for each column. `.` is no error, and `!` is a NaN or infinity that
    /// disagrees. `A` to `Z` and `a` to `n` are the levels of the histogram.
    pub cells: Vec<String>,
}

impl ErrorMap {
    /// The row and the column of the cell that shows the element at a flat position.
    pub fn cell(&self, flat: usize) -> [usize; 2] {
        cell(&self.rows, &self.columns, flat)
    }
}

fn cell(rows: &Axis, columns: &Axis, flat: usize) -> [usize; 2] {
    let [row, column] = place_in_map(flat, [rows.extent, columns.extent]);
    [row / rows.per_cell, column / columns.per_cell]
}

/// One direction of a map.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Axis {
    /// The name, such as `channel (axis 1)`.
    pub name: String,
    /// Its extent in elements.
    pub extent: usize,
    /// Elements of one cell. The last cell may have fewer.
    pub per_cell: usize,
}

impl Axis {
    fn new(name: String, extent: usize) -> Self {
        Axis { name, extent, per_cell: extent.div_ceil(MOST_CELLS).max(1) }
    }

    fn cells(&self) -> usize {
        self.extent.div_ceil(self.per_cell)
    }
}

/// The error profile of two tensors of floats. `None` if the tensors cannot be compared or do not differ.
pub fn error_profile(reference: &Tensor, candidate: &Tensor) -> Option<ErrorProfile> {
    let options = CompareOptions { worst: MOST_WORST, extra_rtol: None };
    let comparison = compare_with(reference, candidate, &options).ok()?;
    let differ = comparison.mismatched > 0 || comparison.nonfinite.disagreeing > 0;
    if !reference.dtype().is_float() || !differ {
        return None;
    }
    let mut sketch = ProfileSketch::new(reference.shape(), comparison.max_abs);
    let (reference, candidate) = (row_major(reference), row_major(candidate));
    for start in (0..reference.len()).step_by(CHUNK) {
        let flat = start..reference.len().min(start + CHUNK);
        let pairs = numbers(&reference, flat.clone()).into_iter().zip(numbers(&candidate, flat));
        for (offset, (r, c)) in pairs.enumerate() {
            sketch.observe(start + offset, r.value(), c.value());
        }
    }
    Some(sketch.finish(comparison.worst))
}

/// An error profile under construction.
struct ProfileSketch {
    shape: Vec<usize>,
    start: i32,
    counts: [u64; LEVELS],
    equal: u64,
    disagreeing: u64,
    rows: Axis,
    columns: Axis,
    /// A mark for each cell: 0 without error, a level plus one, or [`DISAGREES`].
    cells: Vec<u8>,
    stride: usize,
    pairs: Vec<String>,
}

/// The mark of a cell with a NaN or infinity that disagrees.
const DISAGREES: u8 = LEVELS as u8 + 1;

impl ProfileSketch {
    fn new(shape: &[usize], max_abs: f64) -> Self {
        let (rows, columns) = axes(shape);
        let len: usize = shape.iter().product();
        ProfileSketch {
            shape: shape.to_vec(),
            start: level(max_abs) + 1 - LEVELS as i32,
            counts: [0; LEVELS],
            equal: 0,
            disagreeing: 0,
            cells: vec![0; rows.cells() * columns.cells()],
            rows,
            columns,
            // Odd, because an even stride may stay within one column or channel.
            stride: len.div_ceil(MOST_PAIRS) | 1,
            pairs: Vec::new(),
        }
    }

    fn observe(&mut self, flat: usize, reference: f64, candidate: f64) {
        let difference = (candidate - reference).abs();
        let same = reference == candidate || (reference.is_nan() && candidate.is_nan());
        let mark = if same {
            self.equal += 1;
            0
        } else if difference.is_finite() {
            let at = (level(difference) - self.start).clamp(0, LEVELS as i32 - 1);
            self.counts[at.unsigned_abs() as usize] += 1;
            at.unsigned_abs() as u8 + 1
        } else {
            self.disagreeing += 1;
            DISAGREES
        };
        let [row, column] = cell(&self.rows, &self.columns, flat);
        let cell = &mut self.cells[row * self.columns.cells() + column];
        *cell = mark.max(*cell);
        if flat.is_multiple_of(self.stride) {
            self.pairs.push(format!("{}:{}", general(reference), general(candidate)));
        }
    }

    fn finish(self, worst: Vec<Worst>) -> ErrorProfile {
        let width = self.columns.cells();
        let line = |row: &[u8]| row.iter().map(|&mark| letter(mark)).collect();
        ErrorProfile {
            shape: self.shape,
            histogram: Histogram {
                start: self.start,
                counts: self.counts.to_vec(),
                equal: self.equal,
                disagreeing: self.disagreeing,
            },
            map: ErrorMap {
                cells: self.cells.chunks(width).map(line).collect(),
                rows: self.rows,
                columns: self.columns,
            },
            pairs: self.pairs.join(" "),
            worst,
        }
    }
}

/// The quarter decade of a difference. A difference of 0 counts as the smallest `f32`.
fn level(difference: f64) -> i32 {
    (PER_DECADE * difference.max(1e-46).log10()).floor() as i32
}

fn letter(mark: u8) -> char {
    char::from(match mark {
        0 => b'.',
        1..=26 => b'A' + mark - 1,
        DISAGREES => b'!',
        _ => b'a' + mark - 27,
    })
}

/// The rows and columns of a map. Of several batches, the worst counts.
fn axes(shape: &[usize]) -> (Axis, Axis) {
    let name = |kind: &str, axis: usize| format!("{kind} (axis {axis})");
    let (rows, columns) = match shape.len() {
        0 => ("one".into(), "one".into()),
        1 => ("one".into(), name("element", 0)),
        axes @ (2 | 3) => (name("row", axes - 2), name("element", axes - 1)),
        axes => (name("channel", 1), format!("position (axes 2 to {}, flat)", axes - 1)),
    };
    let [row_extent, column_extent] = map_extents(shape);
    (Axis::new(rows, row_extent), Axis::new(columns, column_extent))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(shape: &[usize], value: impl Fn(usize) -> f32) -> Tensor {
        let len = shape.iter().product();
        Tensor::from_f32(shape, (0..len).map(value).collect()).unwrap()
    }

    #[test]
    fn a_wrong_channel_is_a_row_of_the_map() {
        let shape = [1, 3, 10, 20];
        let reference = tensor(&shape, |flat| flat as f32);
        let candidate =
            tensor(&shape, |flat| flat as f32 + if flat / 200 == 1 { 0.5 } else { 0.0 });
        let error_profile = error_profile(&reference, &candidate).unwrap();
        let Axis { extent, per_cell, .. } = error_profile.map.columns;
        assert_eq!((error_profile.map.rows.extent, extent, per_cell), (3, 200, 4));
        assert_eq!(error_profile.map.cells, [".".repeat(50), "n".repeat(50), ".".repeat(50)]);
        let Histogram { start, counts, equal, disagreeing } = error_profile.histogram;
        assert_eq!((counts[39], equal, disagreeing), (200, 400, 0));
        let from = 10f64.powf(f64::from(start + 39) / 4.0);
        assert!(from <= 0.5 && 0.5 < from * 10f64.powf(0.25));
        assert!(error_profile.pairs.starts_with("0:0 3:3"), "{}", error_profile.pairs);
        assert_eq!(error_profile.worst.len(), MOST_WORST);
    }

    #[test]
    fn nan_is_drawn_as_such_and_equal_tensors_have_no_portrait() {
        let reference = tensor(&[2, 2], |_| 1.0);
        let candidate = tensor(&[2, 2], |flat| if flat == 3 { f32::NAN } else { 1.0 });
        let drawn = error_profile(&reference, &candidate).unwrap();
        assert_eq!(drawn.map.cells, ["..", ".!"]);
        assert_eq!(drawn.histogram.disagreeing, 1);
        assert!(drawn.pairs.ends_with("1:nan"));
        assert_eq!(error_profile(&reference, &reference), None);
        let text = serde_json::to_string(&drawn).unwrap();
        let back: ErrorProfile = serde_json::from_str(&text).unwrap();
        assert!(back.worst[0].candidate.is_nan());
        assert_eq!(serde_json::to_string(&back).unwrap(), text);
    }

    #[test]
    fn a_portrait_stays_small() {
        let shape = [2, 130, 90, 90];
        let reference = tensor(&shape, |flat| (flat as f32).sin() * 1e-3);
        let candidate = tensor(&shape, |flat| (flat as f32).cos() * 1e-3);
        let drawn = error_profile(&reference, &candidate).unwrap();
        assert!(serde_json::to_string(&drawn).unwrap().len() < 16_000);
        assert_eq!(drawn.histogram.counts.iter().sum::<u64>(), 2 * 130 * 90 * 90);
    }
}
