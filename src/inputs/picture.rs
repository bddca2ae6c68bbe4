//! Feeds from PNG and JPEG files.

use super::{InputError, element};
use crate::graph::ResolvedInput;
use crate::tensor::Tensor;
use image::imageops::{FilterType, resize};
use image::{DynamicImage, ImageReader};
use std::fmt;
use std::path::Path;

/// What becomes of an image's channels: `(value / 255 - mean) / std`, in f32.
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
    /// From one number for all channels, or three; none at all means 0 and 1.
    ///
    /// # Errors
    /// When there are neither none, one nor three, one is not finite, or a deviation is zero.
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

/// Reads an image into an N x C x H x W input of floats, resized bilinearly; C is 3 (RGB) or 1 (grey).
pub(super) fn read(
    path: &Path,
    norm: &Normalization,
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
    let picture = open(path).map_err(fail)?;
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
