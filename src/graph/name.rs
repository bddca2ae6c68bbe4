//! Names of values, and the closest known name to a wrong name.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The name of a value (an input, an output, an intermediate tensor) in an ONNX graph.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct ValueName(String);

impl ValueName {
    /// The name as ONNX spells it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for ValueName {
    fn from(name: &str) -> Self {
        ValueName(name.to_owned())
    }
}

impl From<String> for ValueName {
    fn from(name: String) -> Self {
        ValueName(name)
    }
}

impl AsRef<str> for ValueName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ValueName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// The candidate that was most likely meant by `name`; `None` if no candidate is similar.
pub fn closest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Jaro-Winkler similarity in 0..=1. At 0.7 a typo in a short name still counts, and an
    // unrelated word does not.
    const NEAR: f64 = 0.7;
    candidates
        .into_iter()
        .map(|candidate| {
            (strsim::jaro_winkler(&name.to_lowercase(), &candidate.to_lowercase()), candidate)
        })
        .filter(|(nearness, _)| *nearness >= NEAR)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typing_errors_are_understood() {
        assert_eq!(closest("imput", ["input", "mask"]), Some("input"));
        assert_eq!(closest("Input", ["input"]), Some("input"));
        assert_eq!(closest("xyz", ["input", "mask"]), None);
        assert_eq!(closest("x", []), None);
    }
}
