//! Small pictures of inputs, for pages.

use crate::tensor::Tensor;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use image::imageops::{FilterType, resize};
use image::{ImageFormat, RgbImage};
use std::io::Cursor;

/// The longer side of a thumbnail, in pixels.
const SIDE: u32 = 96;

/// The sides of an input that is taken for a picture.
const SIDES: std::ops::RangeInclusive<usize> = 8..=2048;

/// An input as a PNG in a `data:` address, if its shape is that of one picture: 1 or 3 channels, first or last. The
/// smallest element becomes black and the largest white.
pub fn thumbnail(tensor: &Tensor) -> Option<String> {
    let picture = picture(tensor)?;
    let (wide, high) = picture.dimensions();
    let longer = wide.max(high);
    let scaled = |side: u32| (side * SIDE / longer).max(1);
    let small = match longer > SIDE {
        true => resize(&picture, scaled(wide), scaled(high), FilterType::Triangle),
        false => picture,
    };
    let mut bytes = Vec::new();
    small.write_to(&mut Cursor::new(&mut bytes), ImageFormat::Png).ok()?;
    Some(format!("data:image/png;base64,{}", STANDARD.encode(bytes)))
}

fn picture(tensor: &Tensor) -> Option<RgbImage> {
    let shape = match tensor.shape() {
        [1, shape @ ..] if shape.len() == 3 => shape,
        shape => shape,
    };
    // The steps between channels, rows and columns.
    let (channels, high, wide, steps) = match *shape {
        [channels @ (1 | 3), high, wide] => (channels, high, wide, [high * wide, wide, 1]),
        [high, wide, channels @ (1 | 3)] => (channels, high, wide, [1, wide * channels, channels]),
        _ => return None,
    };
    if !SIDES.contains(&high) || !SIDES.contains(&wide) {
        return None;
    }
    let values = tensor.numbers(1);
    let finite = values.iter().copied().filter(|value| value.is_finite());
    let (low, high_value) =
        finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
    let scale = if high_value > low { 255.0 / (high_value - low) } else { 0.0 };
    Some(RgbImage::from_fn(wide as u32, high as u32, |column, row| {
        let at = |channel: usize| {
            let channel = channel.min(channels - 1);
            let place = channel * steps[0] + row as usize * steps[1] + column as usize * steps[2];
            // NaN becomes black.
            ((values[place] - low) * scale) as u8
        };
        image::Rgb([at(0), at(1), at(2)])
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(shape: &[usize]) -> Tensor {
        let count = shape.iter().product::<usize>();
        Tensor::from_f32(shape, (0..count).map(|at| at as f32).collect()).unwrap()
    }

    #[test]
    fn channels_are_first_or_last() {
        let first = picture(&counted(&[1, 3, 8, 16])).unwrap();
        assert_eq!(first.dimensions(), (16, 8));
        assert_eq!(
            first.get_pixel(15, 7).0,
            [(127 * 255 / 383) as u8, (255 * 255 / 383) as u8, 255]
        );
        let last = picture(&counted(&[8, 16, 3])).unwrap();
        assert_eq!((last.dimensions(), last.get_pixel(15, 7).0[2]), ((16, 8), 255));
        assert!(
            thumbnail(&counted(&[1, 1, 28, 28])).unwrap().starts_with("data:image/png;base64,")
        );
        for other in [&[1, 4, 8, 8][..], &[2, 3, 8, 8], &[3, 4, 4], &[10, 10]] {
            assert!(picture(&counted(other)).is_none(), "{other:?}");
        }
    }
}
