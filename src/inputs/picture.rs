//! Feeds from PNG and JPEG files.

use super::{InputError, element};
use crate::graph::{Dim, ResolvedInput};
use crate::tensor::Tensor;
use image::imageops::{FilterType, resize};
use image::{DynamicImage, ImageReader};
use std::fmt;
use std::path::Path;

/// The normalization of an image's channels: `(value / 255 - mean) / std`, in f32.
#[derive(Debug, Clone, PartialEq)]
pub struct Normalization {
    mean: [f32; 3],
    std: [f32; 3],
}

impl Default for Normalization {
    /// Values from 0 to 1: mean 0, standard deviation 1.
    fn default() -> Self {
        Normalization { mean: [0.0; 3], std: [1.0; 3] }
    }
}

impl Normalization {
    /// Takes one number for all channels, or three numbers. Without numbers, the mean is 0 and the deviation 1.
    ///
    /// # Errors
    /// If the count is not 0, 1 or 3, a number is not finite, or a deviation is zero.
    pub fn new(mean: &[f32], std: &[f32]) -> Result<Self, InputError> {
        let refuse = |problem: &str| InputError::Normalization { problem: problem.to_owned() };
        let three = |numbers: &[f32], otherwise: f32| match numbers {
            [] => Ok([otherwise; 3]),
            [all] => Ok([*all; 3]),
            [red, green, blue] => Ok([*red, *green, *blue]),
            _ => Err(refuse("mean and std take one number or three")),
        };
        let (mean, std) = (three(mean, 0.0)?, three(std, 1.0)?);
        if mean.iter().chain(&std).any(|number| !number.is_finite()) || std.contains(&0.0) {
            return Err(refuse("mean and std must be finite, and std not zero"));
        }
        Ok(Normalization { mean, std })
    }
}

impl fmt::Display for Normalization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Normalization::default() {
            return Ok(());
        }
        let ([a, b, c], [d, e, g]) = (self.mean, self.std);
        write!(f, " mean={a},{b},{c} std={d},{e},{g}")
    }
}

/// Which part of an image is fed, and the size of that part before it becomes the input.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Framing {
    /// The shorter side is resized to this length, and the other side in proportion.
    pub resize: Option<u32>,
    /// Then a square with this side is cut from the middle.
    pub crop: Option<u32>,
}

impl Framing {
    /// The part that is fed, before it is resized to the input.
    fn apply(self, picture: DynamicImage) -> Result<DynamicImage, String> {
        let resized = match self.resize {
            None => picture,
            Some(side) => {
                let (width, height) = (picture.width().max(1), picture.height().max(1));
                let other = |long: u32, short: u32| {
                    u32::try_from(u64::from(side) * u64::from(long) / u64::from(short))
                        .map_err(|_| "it would become too long".to_owned())
                };
                let (columns, rows) = match width <= height {
                    true => (side, other(height, width)?),
                    false => (other(width, height)?, side),
                };
                picture.resize_exact(columns, rows, FilterType::Triangle)
            }
        };
        let Some(side) = self.crop else { return Ok(resized) };
        let (width, height) = (resized.width(), resized.height());
        if width < side || height < side {
            return Err(format!("it is {width} x {height}, too small to crop {side} from"));
        }
        Ok(resized.crop_imm((width - side) / 2, (height - side) / 2, side, side))
    }
}

impl fmt::Display for Framing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = |name: &str, side: Option<u32>| {
            side.map_or_else(String::new, |side| format!(" {name}={side}"))
        };
        write!(f, "{}{}", part("resize", self.resize), part("crop", self.crop))
    }
}

/// The shape that an input with open dimensions gets from an image: one image in its own size. If one side is known,
/// the other side follows in proportion.
pub(super) fn shape(path: &Path, dims: &[Dim]) -> Option<Vec<usize>> {
    let [batch, channels, height, width] = dims else { return None };
    let (columns, rows) = image::image_dimensions(path).ok()?;
    let (columns, rows) = (columns as usize, rows as usize);
    let settled = |dim: &Dim| match dim {
        Dim::Known(extent) if *extent > 0 => Some(*extent),
        _ => None,
    };
    let sides = match (settled(height), settled(width)) {
        (Some(height), None) => [height, (columns * height / rows.max(1)).max(1)],
        (None, Some(width)) => [(rows * width / columns.max(1)).max(1), width],
        (height, width) => [height.unwrap_or(rows), width.unwrap_or(columns)],
    };
    let (batch, channels) = (settled(batch).unwrap_or(1), settled(channels).unwrap_or(3));
    Some(vec![batch, channels, sides[0], sides[1]])
}

/// Reads an image into an N x C x H x W input of floats, resized bilinearly. C is 3 (RGB) or 1 (grey).
pub(super) fn read(
    path: &Path,
    norm: &Normalization,
    framing: Framing,
    input: &ResolvedInput,
) -> Result<Tensor, InputError> {
    let fail = |problem: String| InputError::Picture {
        name: input.name.clone(),
        path: path.to_owned(),
        problem,
    };
    let &[batch, channels @ (1 | 3), height, width] = input.shape.as_slice() else {
        return Err(fail(format!("an image does not fit shape {:?}", input.shape)));
    };
    if !input.dtype.is_float() {
        return Err(fail(format!("an image does not fit element type {}", input.dtype)));
    }
    let side = |extent: usize| {
        u32::try_from(extent).map_err(|_| fail("the input is too large".to_owned()))
    };
    let (rows, columns) = (side(height)?, side(width)?);
    let picture = open(path).and_then(|picture| framing.apply(picture)).map_err(fail)?;
    let pixels = if channels == 3 {
        resize(&picture.to_rgb8(), columns, rows, FilterType::Triangle).into_raw()
    } else {
        resize(&picture.to_luma8(), columns, rows, FilterType::Triangle).into_raw()
    };
    let mut bytes = Vec::new();
    for (channel, (mean, std)) in norm.mean.iter().zip(norm.std).take(channels).enumerate() {
        for &value in pixels.iter().skip(channel).step_by(channels) {
            element::push_real(
                &mut bytes,
                input.dtype,
                f64::from((f32::from(value) / 255.0 - mean) / std),
            );
        }
    }
    Tensor::from_bytes(input.dtype, &input.shape, &bytes.repeat(batch))
        .map_err(|error| fail(error.to_string()))
}

fn open(path: &Path) -> Result<DynamicImage, String> {
    let reader = ImageReader::open(path).and_then(ImageReader::with_guessed_format);
    reader.map_err(|error| error.to_string())?.decode().map_err(|error| error.to_string())
}
