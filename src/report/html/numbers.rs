//! Numbers as people read them on a page.

/// Three digits; very small and very large numbers with a power of ten.
pub(super) fn size(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return format!("{value}");
    }
    let magnitude = value.abs();
    if (0.01..1e4).contains(&magnitude) {
        let decimals = (2 - magnitude.log10().floor() as i32).max(0) as usize;
        let text = format!("{value:.decimals$}");
        return match text.contains('.') {
            true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
            false => text,
        };
    }
    format!("{value:.1e}")
}

/// 1234567 as 1,234,567.
pub(super) fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// 10⁻³.
pub(super) fn power_of_ten(power: i32) -> String {
    const SUPERSCRIPT: [char; 10] = ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'];
    if power == 0 {
        return "1".to_owned();
    }
    let digits = power.unsigned_abs().to_string();
    let digits = digits.bytes().map(|digit| SUPERSCRIPT[usize::from(digit - b'0')]);
    let sign = if power < 0 { "⁻" } else { "" };
    format!("10{sign}{}", digits.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let texts = [0.0, 1.0, 0.01234, 123.456, 9999.4, 12345.0, 1.5e-7].map(size);
        assert_eq!(texts, ["0", "1", "0.0123", "123", "9999", "1.2e4", "1.5e-7"]);
        assert_eq!([0, 999, 1000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([0, 3, -12].map(power_of_ten), ["1", "10³", "10⁻¹²"]);
    }
}
