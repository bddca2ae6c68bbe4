//! Floats in JSON. JSON has neither NaN nor infinities, so these are the strings `"nan"`, `"inf"` and `"-inf"`. Every
//! other value is a number. For use as `#[serde(with = "...::number")]`.

use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

/// A float as JSON has it.
#[derive(Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
pub(super) enum NumberText {
    /// A finite number.
    Number(f64),
    /// `nan`, `inf` or `-inf`.
    Word(String),
}

/// Writes a float.
///
/// # Errors
/// If the serializer fails.
pub fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    match *value {
        value if value.is_nan() => serializer.serialize_str("nan"),
        f64::INFINITY => serializer.serialize_str("inf"),
        f64::NEG_INFINITY => serializer.serialize_str("-inf"),
        finite => serializer.serialize_f64(finite),
    }
}

/// Reads a float.
///
/// # Errors
/// If the value is neither a number nor one of the three words.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    match NumberText::deserialize(deserializer)? {
        NumberText::Number(number) => Ok(number),
        NumberText::Word(word) => match word.as_str() {
            "nan" => Ok(f64::NAN),
            "inf" => Ok(f64::INFINITY),
            "-inf" => Ok(f64::NEG_INFINITY),
            _ => Err(D::Error::custom(format!("`{word}` is no number, nan, inf or -inf"))),
        },
    }
}

#[cfg(test)]
mod tests {
    #[derive(serde::Serialize, serde::Deserialize)]
    struct Holder(#[serde(with = "super")] f64);

    #[test]
    fn every_float_comes_back() {
        for value in [0.0, -0.0, 0.1, 1e-310, f64::MAX, f64::INFINITY, f64::NEG_INFINITY, f64::NAN]
        {
            let text = serde_json::to_string(&Holder(value)).unwrap();
            let back: Holder = serde_json::from_str(&text).unwrap();
            assert!(back.0.to_bits() == value.to_bits(), "{value} became {text}");
        }
        assert!(serde_json::from_str::<Holder>("\"many\"").is_err());
    }
}
