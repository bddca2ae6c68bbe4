//! Compares two conversions of one network.

use super::converter::{Converter, PYTHON_ENTRY, run_to_end, weights_file};
use super::error::ConvertError;
use crate::engine::Weights;
use crate::graph::Model;
use crate::worker::interruption::Interrupt;
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// A difference in a converted network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConversionChange {
    /// The operator, as the converter names it.
    pub operator: String,
    /// The field of the operator, as in `main.weight`.
    pub field: String,
    /// The difference in words.
    pub words: String,
}

/// The operators of a network's conversion, as the converter shows them. The files of two conversions differ even for
/// one network, because a file contains a random number.
///
/// # Errors
/// As [`Converter::convert`].
pub fn converted_operators(
    converter: &Converter,
    model: &Model,
    patience: Duration,
    interrupt: &Interrupt,
) -> Result<Vec<Value>, ConvertError> {
    operators(
        converter,
        &converter.convert(model, Weights::Fp32, patience, interrupt)?,
        patience,
        interrupt,
    )
}

/// The first operator of a converted network that differs from a fresh conversion; `None` if all are equal,
/// or if one of the two has its weights in a second file.
///
/// # Errors
/// If the network cannot be converted, or the converter cannot show one of the two.
pub fn compare_converted(
    converter: &Converter,
    model: &Model,
    ready: &Path,
    patience: Duration,
    interrupt: &Interrupt,
) -> Result<Option<ConversionChange>, ConvertError> {
    let fresh = converter.convert(model, Weights::Fp32, patience, interrupt)?;
    // What the converter shows does not have the weights of a second file.
    if weights_file(&fresh).exists() || weights_file(ready).exists() {
        return Ok(None);
    }
    let [fresh, ready] = [
        operators(converter, &fresh, patience, interrupt)?,
        operators(converter, ready, patience, interrupt)?,
    ];
    Ok(first_change(&fresh, &ready))
}

/// The operators of a converted network, as the converter shows them.
fn operators(
    converter: &Converter,
    model: &Path,
    patience: Duration,
    interrupt: &Interrupt,
) -> Result<Vec<Value>, ConvertError> {
    let workspace = tempfile::tempdir()?;
    let shown = workspace.path().join("model.json");
    let mut command = match converter {
        Converter::Native(program) => Command::new(program),
        Converter::Python(python) => {
            let mut command = Command::new(python);
            command.args(["-c", PYTHON_ENTRY]);
            command
        }
        Converter::Ready(_) | Converter::Missing => return Err(ConvertError::Missing),
    };
    // The converter leaves files in its working folder.
    command.current_dir(workspace.path());
    command.args(["-f", "MNN", "--modelFile"]).arg(fs::canonicalize(model)?);
    command.arg("--JsonFile").arg(&shown);
    let words = run_to_end(command, workspace.path(), patience, interrupt)?;
    let refused = |reason: String| ConvertError::Refused { reason, words: vec![words.clone()] };
    let text = fs::read(&shown)?;
    let shown: Value = serde_json::from_slice(&text).map_err(|error| refused(error.to_string()))?;
    let list = shown.get("oplists").and_then(Value::as_array).cloned();
    list.ok_or_else(|| refused("the converter shows no list of operators".into()))
}

fn first_change(fresh: &[Value], ready: &[Value]) -> Option<ConversionChange> {
    let name = |op: &Value| op.get("name").and_then(Value::as_str).map(str::to_owned);
    for op in fresh {
        let Some(operator) = name(op) else { continue };
        let same = ready.iter().find(|other| name(other).as_ref() == Some(&operator));
        let Some(same) = same else {
            let words = "the operator is not there".to_owned();
            return Some(ConversionChange { operator, field: "name".into(), words });
        };
        if let Some((field, words)) = difference(op, same) {
            return Some(ConversionChange { operator, field, words });
        }
    }
    None
}

/// The first field that differs, and the difference in words.
fn difference(fresh: &Value, ready: &Value) -> Option<(String, String)> {
    match (fresh, ready) {
        (Value::Object(fresh), Value::Object(ready)) => fresh.iter().find_map(|(key, value)| {
            let other = ready.get(key).unwrap_or(&Value::Null);
            let (field, words) = difference(value, other)?;
            let field = if field.is_empty() { key.clone() } else { format!("{key}.{field}") };
            Some((field, words))
        }),
        (Value::Array(fresh), Value::Array(ready)) if fresh.len() == ready.len() => {
            let differs = |&at: &usize| fresh[at] != ready[at];
            let places: Vec<usize> = (0..fresh.len()).filter(differs).collect();
            let first = *places.first()?;
            let words = format!(
                "{} of {} elements differ, first at {first}: {} instead of {}",
                places.len(),
                fresh.len(),
                ready[first],
                fresh[first]
            );
            Some((String::new(), words))
        }
        _ if fresh == ready => None,
        _ => Some((String::new(), format!("{} instead of {}", short(ready), short(fresh)))),
    }
}

fn short(value: &Value) -> String {
    match value {
        Value::Array(list) => format!("{} elements", list.len()),
        Value::Object(_) => "another structure".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_first_field_that_is_another_is_named() {
        let op = |weight: [f64; 3]| json!({"name": "c", "type": "Convolution", "main": {"weight": weight}});
        let (fresh, edited) = (op([1.0, 2.0, 3.0]), op([1.0, 2.5, 3.0]));
        let fresh = [fresh];
        assert_eq!(first_change(&fresh, &fresh), None);
        let change = first_change(&fresh, &[edited]).unwrap();
        assert_eq!((change.operator.as_str(), change.field.as_str()), ("c", "main.weight"));
        assert_eq!(change.words, "1 of 3 elements differ, first at 1: 2.5 instead of 2.0");
        assert_eq!(first_change(&fresh, &[]).unwrap().words, "the operator is not there");
    }
}
