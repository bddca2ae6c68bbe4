//! Names of networks in tables and folders: the file name, with its folder if the file name is generic or not unique.

use std::path::Path;

/// File names that model hubs give to every network.
const SHARED: [&str; 4] = ["model", "inference", "network", "onnx"];

/// The names of several networks. Networks with the same file name get their folders as a prefix.
pub(super) fn network_names(paths: &[&Path]) -> Vec<String> {
    let short: Vec<String> = paths.iter().map(|path| network_name(path)).collect();
    let is_shared = |name: &String| short.iter().filter(|other| *other == name).count() > 1;
    let name = |(path, name): (&&Path, &String)| match is_shared(name) {
        true => in_folder(path),
        false => name.clone(),
    };
    paths.iter().zip(&short).map(name).collect()
}

/// The name of one network: `yolo` for `yolo.onnx`, and `silero/model` for `silero/model.onnx`.
pub(super) fn network_name(path: &Path) -> String {
    let stem = stem(path);
    match SHARED.contains(&stem.as_str()) {
        true => in_folder(path),
        false => stem,
    }
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

fn in_folder(path: &Path) -> String {
    let folder = path.parent().and_then(Path::file_name).map(|name| name.to_string_lossy());
    folder.map_or_else(|| stem(path), |folder| format!("{folder}/{}", stem(path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_called_alike_are_told_apart_by_their_folders() {
        let names = |paths: &[&str]| -> Vec<String> {
            network_names(&paths.iter().map(Path::new).collect::<Vec<_>>())
        };
        assert_eq!(names(&["a/yolo.onnx", "b/seg.onnx"]), ["yolo", "seg"]);
        assert_eq!(names(&["a/det.onnx", "b/det.onnx", "c.onnx"]), ["a/det", "b/det", "c"]);
        assert_eq!(names(&["hub/silero/model.onnx"]), ["silero/model"]);
        assert_eq!(names(&["model.onnx"]), ["model"]);
    }
}
