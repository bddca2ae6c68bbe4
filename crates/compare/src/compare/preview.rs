//! The four numbers a person looks at first, printed as C++ streams print them.

use super::element::number;
use crate::tensor::{Number, Tensor};
use std::fmt::Write as _;

/// The length and outermost elements: `[len: 1024] (0: 0) (1: 1) (-2: 4046) (-1: 4046)`.
///
/// No element of a short tensor appears twice.
pub fn preview(tensor: &Tensor) -> String {
    let len = tensor.len();
    let mut text = format!("[len: {len}]");
    for flat in 0..len.min(2) {
        write_element(&mut text, &flat.to_string(), tensor, flat);
    }
    for back in (1..=len.saturating_sub(2).min(2)).rev() {
        write_element(&mut text, &format!("-{back}"), tensor, len - back);
    }
    text
}

fn write_element(text: &mut String, place: &str, tensor: &Tensor, flat: usize) {
    let value = match number(tensor, flat) {
        Number::Float(value) => general(value),
        Number::Integer(value) => value.to_string(),
    };
    // Writing to a string cannot fail.
    let _ = write!(text, " ({place}: {value})");
}

/// C's `%g`: six significant digits, no trailing zeros, and an exponent only if that is shorter.
pub fn general(value: f64) -> String {
    if value.is_nan() {
        return "nan".to_owned();
    }
    if value.is_infinite() || value == 0.0 {
        return value.to_string();
    }
    let scientific = format!("{value:.5e}");
    let (digits, exponent) = scientific.split_once('e').expect("{:e} writes an exponent");
    let exponent: i32 = exponent.parse().expect("{:e} writes a whole exponent");
    if (-4..6).contains(&exponent) {
        let decimals = usize::try_from(5 - exponent).expect("the exponent is below 6");
        return trim_zeros(&format!("{value:.decimals$}")).to_owned();
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{}e{sign}{:02}", trim_zeros(digits), exponent.abs())
}

fn trim_zeros(digits: &str) -> &str {
    if !digits.contains('.') {
        return digits;
    }
    digits.trim_end_matches('0').trim_end_matches('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_printed_as_c_prints_them() {
        let cases = [
            (0.22279, "0.22279"),
            (-1.491014, "-1.49101"),
            (f64::NAN, "nan"),
            (f64::NEG_INFINITY, "-inf"),
            (-0.0, "-0"),
            (4046.0, "4046"),
            (1e-5, "1e-05"),
            (1.5e6, "1.5e+06"),
            (999999.5, "1e+06"),
            (0.0001, "0.0001"),
            (123456.7, "123457"),
            (3.4e38, "3.4e+38"),
            (100000.0, "100000"),
            (-1e100, "-1e+100"),
        ];
        for (value, text) in cases {
            assert_eq!(general(value), text);
        }
    }

    #[test]
    fn short_tensors_repeat_nothing() {
        let tensor =
            |len: usize| Tensor::from_f32(&[len], (0..len).map(|i| i as f32).collect()).unwrap();
        assert_eq!(preview(&tensor(0)), "[len: 0]");
        assert_eq!(preview(&tensor(1)), "[len: 1] (0: 0)");
        assert_eq!(preview(&tensor(3)), "[len: 3] (0: 0) (1: 1) (-1: 2)");
        assert_eq!(preview(&tensor(9)), "[len: 9] (0: 0) (1: 1) (-2: 7) (-1: 8)");
    }
}
