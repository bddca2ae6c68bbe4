//! Which ONNX value a dumped tensor is: by its name, or by what tools make of names.

use std::collections::{BTreeMap, BTreeSet};

/// Endings that tools add to a value's name, or leave out.
const ENDINGS: [&str; 4] = [":0", "_0", "_output_0", "_output"];

/// A name for each tensor of a dump.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NamePlan {
    /// ONNX value by dumped name.
    pub matched: BTreeMap<String, String>,
    /// Dumped names that no value has.
    pub unmatched: Vec<String>,
    /// Dumped names that several values could have, or that share their value with other names; with the values.
    pub ambiguous: BTreeMap<String, Vec<String>>,
}

/// Matches names of a dump with values: as the user says, exactly, and with every character replaced that file names
/// and identifiers cannot have. Last, a module's name is the value that the module returns; if a module returns what
/// its last submodule returns, the submodule has the value. A name that could be several values is not guessed.
pub fn plan_names<'a>(
    dumped: impl IntoIterator<Item = &'a String>,
    values: &[String],
    given: &BTreeMap<String, String>,
    modules: &BTreeMap<String, String>,
) -> NamePlan {
    let exact: BTreeSet<&str> = values.iter().map(String::as_str).collect();
    let mut by_form: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for value in values {
        by_form.entry(plain(value)).or_default().push(value);
    }
    let mut plan = NamePlan::default();
    let mut by_form_only = Vec::new();
    for name in dumped {
        let wanted = given.get(name).unwrap_or(name);
        match exact.contains(wanted.as_str()) {
            true => _ = plan.matched.insert(name.clone(), wanted.clone()),
            false => by_form_only.push((name, wanted)),
        }
    }
    // A value that a tensor names exactly is no other tensor's.
    let named: BTreeSet<String> = plan.matched.values().cloned().collect();
    let mut claimed: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut returned: BTreeMap<&String, &String> = BTreeMap::new();
    for (name, wanted) in by_form_only {
        let free = candidates(wanted, &by_form).into_iter().filter(|value| !named.contains(*value));
        match free.collect::<Vec<_>>().as_slice() {
            [] => match modules.get(wanted).filter(|value| !named.contains(*value)) {
                Some(value) => {
                    let inner = returned.entry(value).or_insert(name);
                    *inner = if is_inside(name, inner) { name } else { inner };
                }
                None => plan.unmatched.push(name.clone()),
            },
            [only] => claimed.entry((*only).to_owned()).or_default().push(name.clone()),
            several => {
                let several = several.iter().map(|value| (*value).to_owned()).collect();
                plan.ambiguous.insert(name.clone(), several);
            }
        }
    }
    for (value, name) in returned {
        claimed.entry(value.clone()).or_default().push(name.clone());
    }
    for (value, names) in claimed {
        let is_clear = names.len() == 1;
        for name in names {
            match is_clear {
                true => _ = plan.matched.insert(name, value.clone()),
                false => _ = plan.ambiguous.insert(name, vec![value.clone()]),
            }
        }
    }
    plan
}

/// Whether a module is part of another one, by their names.
fn is_inside(module: &str, outer: &str) -> bool {
    module.strip_prefix(outer).is_some_and(|rest| rest.starts_with('.'))
}

/// The values that a name may stand for: those of the same plain form, or else of a form with another ending.
fn candidates<'v>(name: &str, by_form: &BTreeMap<String, Vec<&'v str>>) -> Vec<&'v str> {
    let form = plain(name);
    if let Some(values) = by_form.get(&form) {
        return values.clone();
    }
    let mut found = Vec::new();
    for ending in ENDINGS.map(plain_ending) {
        let longer = by_form.get(&format!("{form}{ending}"));
        let shorter = form.strip_suffix(&ending).and_then(|short| by_form.get(short));
        found.extend(longer.into_iter().chain(shorter).flatten().copied());
    }
    found.sort_unstable();
    found.dedup();
    found
}

/// Letters and digits in lower case, all else as one `_`, without `_` at the ends.
fn plain(name: &str) -> String {
    let mut plain = String::new();
    for c in name.chars() {
        match c.is_ascii_alphanumeric() {
            true => plain.push(c.to_ascii_lowercase()),
            false if plain.ends_with('_') => {}
            false => plain.push('_'),
        }
    }
    plain.trim_matches('_').to_owned()
}

fn plain_ending(ending: &str) -> String {
    format!("_{}", plain(ending))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_tools_are_understood_and_doubts_are_kept() {
        let none = BTreeMap::new();
        let values: Vec<String> =
            ["/conv1/Conv_output_0", "relu:0", "a.b", "a_b", "y"].map(str::to_owned).to_vec();
        let dumped: Vec<String> =
            ["_conv1_Conv_output_0", "relu", "A/B", "y", "z"].map(str::to_owned).to_vec();
        let plan = plan_names(&dumped, &values, &none, &none);
        assert_eq!(plan.matched["_conv1_Conv_output_0"], "/conv1/Conv_output_0");
        let short = ["conv1.Conv".to_owned()];
        let shortened = plan_names(&short, &values, &none, &none);
        assert_eq!(shortened.matched["conv1.Conv"], "/conv1/Conv_output_0");
        assert_eq!(plan.matched["relu"], "relu:0");
        assert_eq!(plan.matched["y"], "y");
        assert_eq!(plan.ambiguous["A/B"], ["a.b", "a_b"]);
        assert_eq!(plan.unmatched, ["z"]);
        let twice = ["relu".to_owned(), "relu_0".to_owned()];
        let doubt = plan_names(&twice, &values, &none, &none);
        assert_eq!((doubt.matched.len(), doubt.ambiguous.len()), (0, 2));
        let again = ["y".to_owned(), "y_0".to_owned()];
        let plan = plan_names(&again, &values, &none, &none);
        assert_eq!((&*plan.matched["y"], plan.unmatched), ("y", vec!["y_0".to_owned()]));
        let given = BTreeMap::from([("z".to_owned(), "a.b".to_owned())]);
        assert_eq!(plan_names(&dumped, &values, &given, &none).matched["z"], "a.b");
        let modules = BTreeMap::from([("z".to_owned(), "relu:0".to_owned())]);
        let alone = ["z".to_owned()];
        assert_eq!(plan_names(&alone, &values, &none, &modules).matched["z"], "relu:0");
        let modules = ["m", "m.last"].map(|name| (name.to_owned(), "a.b".to_owned())).into();
        let nested = ["m".to_owned(), "m.last".to_owned()];
        let plan = plan_names(&nested, &values, &none, &modules);
        assert_eq!(plan.matched, BTreeMap::from([("m.last".to_owned(), "a.b".to_owned())]));
        assert!(plan.ambiguous.is_empty());
        let modules = BTreeMap::from([("z".to_owned(), "relu:0".to_owned())]);
        // `relu` is `relu:0` by form, and the module's name says the same value.
        let doubt = plan_names(&dumped, &values, &none, &modules);
        assert_eq!(doubt.ambiguous["z"], ["relu:0"]);
    }
}
