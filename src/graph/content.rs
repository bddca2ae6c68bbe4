//! Guesses the content of a file that is not an ONNX model, for the error message.

use std::fmt;
use std::path::Path;

/// The guessed content of a file that was given as a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileContent {
    /// Lines of `key: value`.
    Yaml,
    /// The small text file that git stores in place of a file kept in Git LFS.
    GitLfsPointer,
    /// HTML, usually the error page of a failed download.
    WebPage,
    /// Other text.
    Text,
    /// A zip archive: PyTorch's `.pt`, numpy's `.npz`.
    Zip,
    /// A TensorFlow Lite flatbuffer.
    TfLite,
    /// A numpy array.
    Npy,
    /// An MNN model, recognised by its file name.
    Mnn,
    /// Unrecognised content: a different format, or a broken ONNX file.
    Unknown,
}

impl FileContent {
    /// Guesses the content from the first bytes and the file's name.
    pub fn of(bytes: &[u8], path: &Path) -> Self {
        let extension = path.extension().and_then(|e| e.to_str()).unwrap_or("").to_lowercase();
        let head = bytes.get(..4096).unwrap_or(bytes);
        if extension == "mnn" {
            FileContent::Mnn
        } else if head.starts_with(b"PK\x03\x04") {
            FileContent::Zip
        } else if head.starts_with(b"\x93NUMPY") {
            FileContent::Npy
        } else if head.get(4..8) == Some(b"TFL3") {
            FileContent::TfLite
        } else {
            text(head).map_or(FileContent::Unknown, |text| text_kind(&text, &extension))
        }
    }

    /// The step that the user most likely wants to take.
    pub fn hint(self) -> String {
        match self {
            FileContent::Yaml => {
                "a case file is run with `offby case run FILE`; `offby run` takes an .onnx model"
            }
            FileContent::GitLfsPointer => "fetch the real file with `git lfs pull`",
            FileContent::WebPage => "the download brought a web page; fetch the raw file instead",
            FileContent::Text => "give a binary .onnx file",
            FileContent::Zip => {
                "export the model to ONNX first, for PyTorch with torch.onnx.export"
            }
            FileContent::TfLite => "convert it to ONNX first, for example with tf2onnx",
            FileContent::Npy => {
                "a .npy is an input: give it with `--input`, or compare two with `offby diff`"
            }
            FileContent::Mnn => {
                "give the ONNX model it was converted from: the reference is computed from that"
            }
            FileContent::Unknown => {
                "check that the file is complete: onnx.checker.check_model(\"FILE\") in Python"
            }
        }
        .to_owned()
    }
}

impl fmt::Display for FileContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FileContent::Yaml => "it looks like YAML text",
            FileContent::GitLfsPointer => "it is a Git LFS pointer",
            FileContent::WebPage => "it looks like a web page",
            FileContent::Text => "it looks like text",
            FileContent::Zip => "it looks like a zip archive (PyTorch .pt, numpy .npz)",
            FileContent::TfLite => "it looks like a TensorFlow Lite model",
            FileContent::Npy => "it looks like a numpy array",
            FileContent::Mnn => "its name says it is an MNN model",
            FileContent::Unknown => "its bytes are no ONNX file, or the file is truncated",
        })
    }
}

/// The bytes as text; `None` for binary data.
fn text(head: &[u8]) -> Option<String> {
    let valid = match std::str::from_utf8(head) {
        Ok(text) => text,
        // The cut at 4096 bytes may split a character. If more bytes are invalid, the content is not text.
        Err(error) if error.valid_up_to() + 4 > head.len() => {
            std::str::from_utf8(head.get(..error.valid_up_to())?).ok()?
        }
        Err(_) => return None,
    };
    let binary = valid.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t'));
    (!binary && !valid.is_empty()).then(|| valid.to_owned())
}

fn text_kind(text: &str, extension: &str) -> FileContent {
    let start = text.trim_start();
    let is_key = |line: &str| {
        let key = line.trim_start_matches("- ").split_once(':').map_or("", |(key, _)| key);
        !key.is_empty() && key.chars().all(|c| c.is_alphanumeric() || "_-".contains(c))
    };
    if start.starts_with("version https://git-lfs") {
        FileContent::GitLfsPointer
    } else if start.starts_with('<') {
        FileContent::WebPage
    } else if matches!(extension, "yaml" | "yml")
        || start.starts_with("---")
        || text.lines().any(is_key)
    {
        FileContent::Yaml
    } else {
        FileContent::Text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_are_told_apart() {
        let of = |bytes: &[u8], name: &str| FileContent::of(bytes, Path::new(name));
        assert_eq!(of(b"# a case\nmodel: a.onnx\n", "c.onnx"), FileContent::Yaml);
        assert_eq!(of(b"hello there\n", "c.onnx"), FileContent::Text);
        assert_eq!(of("zażółć ".repeat(900).as_bytes(), "c.onnx"), FileContent::Text);
        assert_eq!(of(b"<!doctype html>", "c.onnx"), FileContent::WebPage);
        assert_eq!(
            of(b"version https://git-lfs.github.com/spec/v1\noid: x", "c.onnx"),
            FileContent::GitLfsPointer
        );
        assert_eq!(of(b"PK\x03\x04....", "c.onnx"), FileContent::Zip);
        assert_eq!(of(b"\x20\0\0\0TFL3", "c.onnx"), FileContent::TfLite);
        assert_eq!(of(b"\x08\x07\x12\x03abc", "c.onnx"), FileContent::Unknown);
        assert_eq!(of(b"", "c.MNN"), FileContent::Mnn);
    }
}
