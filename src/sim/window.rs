//! Convolution and average pooling with sums in `f16`, over one or two axes.

use super::elementwise::add_product;
use super::naive::r16;
use super::operation::{Floats, Operation, tensor};
use crate::tensor::Tensor;

/// A sliding window over two axes. With only one axis, the first has length 1.
struct PlaneWindow {
    input: [usize; 2],
    output: [usize; 2],
    kernel: [usize; 2],
    stride: [usize; 2],
    dilation: [usize; 2],
    /// Rows above and columns left of the input.
    pads: [usize; 2],
    /// The number of real axes.
    axes: usize,
}

impl PlaneWindow {
    /// The window of a node; `None` if the node has neither one nor two axes.
    fn of(
        operation: &Operation<'_>,
        input: &[usize],
        output: &[usize],
        kernel: &[usize],
    ) -> Option<Self> {
        let axes = kernel.len();
        if !(1..=2).contains(&axes) || input.len() != axes + 2 || output.len() != axes + 2 {
            return None;
        }
        let two = |extents: &[usize], fill: usize| match extents {
            [columns] => [fill, *columns],
            [rows, columns] => [*rows, *columns],
            _ => [fill; 2],
        };
        let ints = |name: &str, default: usize| {
            let given = operation.node.ints(name).unwrap_or(&[]);
            let given: Vec<usize> =
                given.iter().map(|&v| usize::try_from(v).unwrap_or(0)).collect();
            let given = if given.is_empty() { vec![default; axes] } else { given };
            two(&given[..axes.min(given.len())], default)
        };
        let mut window = PlaneWindow {
            input: two(&input[2..], 1),
            output: two(&output[2..], 1),
            kernel: two(kernel, 1),
            stride: ints("strides", 1),
            dilation: ints("dilations", 1),
            pads: ints("pads", 0),
            axes,
        };
        if axes == 1 {
            window.pads[0] = 0;
        }
        window.pad_automatically(operation.node.text("auto_pad").unwrap_or("NOTSET"));
        Some(window)
    }

    fn pad_automatically(&mut self, how: &str) {
        for axis in 0..2 {
            let missing = self.reach(axis).saturating_sub(self.input[axis]);
            self.pads[axis] = match how {
                "SAME_UPPER" => missing / 2,
                "SAME_LOWER" => missing.div_ceil(2),
                "VALID" => 0,
                _ => self.pads[axis],
            };
        }
    }

    /// The number of elements from the first element of the first window to the last element of the last window.
    fn reach(&self, axis: usize) -> usize {
        (self.output[axis].max(1) - 1) * self.stride[axis]
            + (self.kernel[axis].max(1) - 1) * self.dilation[axis]
            + 1
    }

    /// Calls `see` with each place of the kernel that is inside the input, and with the place in the input.
    fn slide(&self, row: usize, column: usize, mut see: impl FnMut(usize, usize)) {
        for ky in 0..self.kernel[0] {
            let y = (row * self.stride[0] + ky * self.dilation[0]).checked_sub(self.pads[0]);
            let Some(y) = y.filter(|&y| y < self.input[0]) else { continue };
            for kx in 0..self.kernel[1] {
                let x = (column * self.stride[1] + kx * self.dilation[1]).checked_sub(self.pads[1]);
                let Some(x) = x.filter(|&x| x < self.input[1]) else { continue };
                see(ky * self.kernel[1] + kx, y * self.input[1] + x);
            }
        }
    }
}

/// A convolution with its sums in `f16`.
pub(super) fn convolution(operation: &Operation<'_>, right: &[Tensor]) -> Option<Vec<Tensor>> {
    convolve(operation, right, add_product(true), Some)
}

/// A convolution with the padding before the input and the padding after it swapped.
pub(super) fn pads_swapped(operation: &Operation<'_>, right: &[Tensor]) -> Option<Vec<Tensor>> {
    convolve(operation, right, add_product(false), |mut window| {
        let before = window.pads;
        for axis in 0..2 {
            let missing = window.reach(axis).saturating_sub(window.input[axis]);
            window.pads[axis] = missing.saturating_sub(window.pads[axis]);
        }
        // If the padding is unchanged, the reference's output stays.
        (window.pads != before).then_some(window)
    })
}

fn convolve(
    operation: &Operation<'_>,
    right: &[Tensor],
    add: fn(f32, f32, f32) -> f32,
    change: impl Fn(PlaneWindow) -> Option<PlaneWindow>,
) -> Option<Vec<Tensor>> {
    let (input, weight) = (operation.floats(0)?, operation.floats(1)?);
    let bias = operation.floats(2).map(|bias| bias.values);
    let shape = right.first()?.shape();
    let window = change(PlaneWindow::of(operation, input.shape, shape, weight.shape.get(2..)?)?)?;
    let groups = usize::try_from(operation.node.int("group").unwrap_or(1)).ok()?;
    let (channels, filters, depth) = (input.shape[1], weight.shape[0], weight.shape[1]);
    let (plane, taps): (usize, usize) =
        (window.input.iter().product(), window.kernel.iter().product());
    let per_group = filters.checked_div(groups).filter(|&n| n > 0)?;
    let mut values = Vec::with_capacity(shape.iter().product());
    for (batch, filter) in (0..shape[0]).flat_map(|b| (0..filters).map(move |f| (b, f))) {
        let first = filter / per_group * depth;
        let start = bias.as_ref().map_or(0.0, |bias| bias[filter]);
        for (row, column) in places(window.output) {
            let mut sum = start;
            for channel in 0..depth {
                let from = (batch * channels + first + channel) * plane;
                let weights: usize = (filter * depth + channel) * taps;
                window.slide(row, column, |tap, place| {
                    sum = add(sum, input.values[from + place], weight.values[weights + tap]);
                });
            }
            values.push(sum);
        }
    }
    Some(vec![tensor(shape, values)?])
}

/// Average pooling.
pub(super) fn average(operation: &Operation<'_>, right: &[Tensor]) -> Option<Vec<Tensor>> {
    let input = operation.floats(0)?;
    let shape = right.first()?.shape();
    if operation.node.int("ceil_mode") == Some(1) {
        return None;
    }
    let kernel = operation.node.ints("kernel_shape")?;
    let kernel: Vec<usize> =
        kernel.iter().map(|&k| usize::try_from(k)).collect::<Result<_, _>>().ok()?;
    let window = PlaneWindow::of(operation, input.shape, shape, &kernel)?;
    let with_pads = operation.node.int("count_include_pad") == Some(1);
    let plane: usize = window.input.iter().product();
    let mut values = Vec::with_capacity(shape.iter().product());
    for channel in 0..shape[0] * shape[1] {
        for (row, column) in places(window.output) {
            let (mut sum, mut count) = (0.0, 0);
            window.slide(row, column, |_, place| {
                sum = r16(sum + input.values[channel * plane + place]);
                count += 1;
            });
            if with_pads {
                count = window.kernel[2 - window.axes..].iter().product();
            }
            values.push(r16(sum / count as f32));
        }
    }
    Some(vec![tensor(shape, values)?])
}

/// The mean over all places of each channel.
pub(super) fn global_average(operation: &Operation<'_>, right: &[Tensor]) -> Option<Vec<Tensor>> {
    let input: Floats<'_> = operation.floats(0)?;
    let places: usize = input.shape.get(2..)?.iter().product();
    let mean = |plane: &[f32]| r16(super::norm::sum16(plane.iter().copied()) / places as f32);
    let values = input.values.chunks(places.max(1)).map(mean).collect();
    Some(vec![tensor(right.first()?.shape(), values)?])
}

fn places([rows, columns]: [usize; 2]) -> impl Iterator<Item = (usize, usize)> {
    (0..rows).flat_map(move |row| (0..columns).map(move |column| (row, column)))
}
