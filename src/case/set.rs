//! Sets of cases: the cases in a folder and in all folders in it.

use super::{Case, CaseError};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The folder of device documents, which are not cases.
const DEVICES: &str = "devices";

/// Loads case files, and all case files in folders, in the order of their paths. All problems are
/// found, not only the first.
///
/// # Errors
/// One error for each unusable file: unreadable, not a case, a missing model, or an id that an
/// earlier case has.
pub fn load_cases(paths: &[PathBuf]) -> Result<Vec<(PathBuf, Case)>, Vec<CaseError>> {
    let mut errors = Vec::new();
    let mut files = Vec::new();
    for path in paths {
        if let Err(error) = collect(path, &mut files) {
            errors.push(error);
        }
    }
    let mut cases: Vec<(PathBuf, Case)> = Vec::new();
    let mut first_with: BTreeMap<String, PathBuf> = BTreeMap::new();
    for file in files {
        match load(&file) {
            Err(error) => errors.push(error),
            Ok(case) => match first_with.get(&case.id) {
                Some(other) => errors.push(CaseError::Twice {
                    line: line_of(&file, "id"),
                    path: file,
                    id: case.id,
                    other_line: line_of(other, "id"),
                    other: other.clone(),
                }),
                None => {
                    first_with.insert(case.id.clone(), file.clone());
                    cases.push((file, case));
                }
            },
        }
    }
    if errors.is_empty() { Ok(cases) } else { Err(errors) }
}

fn load(file: &Path) -> Result<Case, CaseError> {
    let case = Case::load(file)?;
    if !case.model_path().is_file() {
        return Err(CaseError::Model {
            path: file.to_owned(),
            line: line_of(file, "model"),
            model: case.model_path(),
        });
    }
    Ok(case)
}

/// The file itself, or the YAML files under a folder.
fn collect(path: &Path, files: &mut Vec<PathBuf>) -> Result<(), CaseError> {
    let read = |source| CaseError::Read { path: path.to_owned(), source };
    if !fs::metadata(path).map_err(read)?.is_dir() {
        files.push(path.to_owned());
        return Ok(());
    }
    let mut entries: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(path).map_err(read)? {
        entries.push(entry.map_err(read)?.path());
    }
    entries.sort_by_key(|path| natural(path));
    for entry in entries {
        let is_yaml = entry.extension().is_some_and(|end| end == "yaml" || end == "yml");
        if entry.is_dir() && entry.file_name().is_some_and(|name| name != DEVICES) {
            collect(&entry, files)?;
        } else if is_yaml && entry.is_file() {
            files.push(entry);
        }
    }
    Ok(())
}

/// Orders names as people count: `a2` before `a10`, `a2.yaml` before `a2-small.yaml`.
fn natural(path: &Path) -> (Vec<(u64, String)>, PathBuf) {
    let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let mut parts = vec![(0u64, String::new())];
    for c in stem.chars() {
        let last = parts.last_mut().expect("it starts with one part");
        match c.to_digit(10) {
            Some(digit) if last.1.is_empty() => {
                last.0 = last.0.saturating_mul(10).saturating_add(u64::from(digit));
            }
            Some(digit) => parts.push((u64::from(digit), String::new())),
            None => last.1.push(c),
        }
    }
    (parts, path.to_owned())
}

/// The line of a key at the outermost level, counted from 1.
fn line_of(file: &Path, key: &str) -> usize {
    let text = fs::read_to_string(file).unwrap_or_default();
    let is_key =
        |line: &str| line.strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with(':'));
    text.lines().position(is_key).map_or(1, |at| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_ordered_as_people_count() {
        let mut names =
            ["b1.yaml", "a10-x.yaml", "a2-split-small.yaml", "a2-split.yaml", "a1.yaml"];
        names.sort_by_key(|name| natural(Path::new(name)));
        assert_eq!(
            names,
            ["a1.yaml", "a2-split.yaml", "a2-split-small.yaml", "a10-x.yaml", "b1.yaml"]
        );
    }

    const CASE: &str = "# a case\nid: one\ntitle: a title\nmodel: m.onnx\n";

    #[test]
    fn problems_are_told_all_at_once_with_their_lines() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        write("a.yaml", CASE);
        write("b.yaml", CASE);
        write("c.yaml", &CASE.replace("one", "three").replace("m.onnx", "other.onnx"));
        write("m.onnx", "");
        fs::create_dir(folder.path().join(DEVICES)).unwrap();
        write("devices/d.yaml", "not: a case");
        let errors = load_cases(&[folder.path().to_owned()]).unwrap_err();
        let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(texts.len(), 2, "{texts:?}");
        assert!(texts[0].contains("b.yaml:2") && texts[0].contains("a.yaml:2"), "{texts:?}");
        assert!(texts[1].contains("c.yaml:4") && texts[1].contains("other.onnx"), "{texts:?}");
    }
}
