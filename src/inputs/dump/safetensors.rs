//! The safetensors format: a JSON header with types, shapes and offsets, then the elements.

use super::place::DumpEntry;
use super::refusal::refuse;
use crate::inputs::InputError;
use crate::tensor::Dtype;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

/// The longest header that the format allows.
const HEADER_LIMIT: u64 = 100_000_000;

#[derive(Deserialize)]
struct Entry {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: [u64; 2],
}

/// The tensors of a file.
pub(super) fn places(path: &Path) -> Result<Vec<(String, DumpEntry)>, InputError> {
    let fail = |problem: String| refuse(path, problem);
    let failed = |error: std::io::Error| refuse(path, error.to_string());
    let mut file = File::open(path).map_err(failed)?;
    let size = file.metadata().map_err(failed)?.len();
    let mut length = [0u8; 8];
    file.read_exact(&mut length).map_err(failed)?;
    let length = u64::from_le_bytes(length);
    if length > HEADER_LIMIT || length > size.saturating_sub(8) {
        return Err(fail(format!("its header would have {length} bytes, and the file has {size}")));
    }
    let mut header = vec![0u8; usize::try_from(length).map_err(|_| fail("too large".into()))?];
    file.read_exact(&mut header).map_err(failed)?;
    let mut entries: BTreeMap<String, serde_json::Value> =
        serde_json::from_slice(&header).map_err(|error| fail(error.to_string()))?;
    entries.remove("__metadata__");
    let place = |(name, entry): (String, serde_json::Value)| {
        let bad = |problem: &dyn std::fmt::Display| fail(format!("tensor `{name}`: {problem}"));
        let entry: Entry = serde_json::from_value(entry).map_err(|error| bad(&error))?;
        let dtype = dtype(&entry.dtype)
            .ok_or_else(|| bad(&format!("offby has no element type {}", entry.dtype)))?;
        let [from, to] = entry.data_offsets;
        let begin = 8 + length;
        if from > to || to > size.saturating_sub(begin) {
            return Err(bad(&format!("bytes {from} to {to} are not in the file")));
        }
        let place = DumpEntry::Bytes {
            path: path.to_owned(),
            begin: begin + from,
            length: to - from,
            dtype,
            shape: entry.shape,
        };
        Ok((name, place))
    };
    entries.into_iter().map(place).collect()
}

fn dtype(name: &str) -> Option<Dtype> {
    Some(match name {
        "F64" => Dtype::F64,
        "F32" => Dtype::F32,
        "F16" => Dtype::F16,
        "BF16" => Dtype::Bf16,
        "I64" => Dtype::I64,
        "I32" => Dtype::I32,
        "I16" => Dtype::I16,
        "I8" => Dtype::I8,
        "U64" => Dtype::U64,
        "U32" => Dtype::U32,
        "U16" => Dtype::U16,
        "U8" => Dtype::U8,
        "BOOL" => Dtype::Bool,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(header: &str, data: &[u8]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        let bytes = [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat();
        std::fs::write(file.path(), bytes).unwrap();
        file
    }

    fn places_read(path: &Path) -> Result<Vec<crate::tensor::Tensor>, InputError> {
        places(path)?.iter().map(|(_, place)| place.read()).collect()
    }

    #[test]
    fn tensors_are_read_and_lies_are_refused() {
        let header = r#"{"__metadata__":{"format":"pt"},"a.b":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#;
        let data = [1.5f32, -2.0].map(f32::to_le_bytes).concat();
        let whole = file(header, &data);
        let places = places(whole.path()).unwrap();
        assert_eq!(places[0].0, "a.b");
        assert_eq!(places[0].1.read().unwrap().numbers(1), [1.5, -2.0]);
        let read = |file: &Path| places_read(file).map(drop);
        let problem = |header: &str| read(file(header, &data).path()).unwrap_err().to_string();
        assert!(problem(&header.replace("8]", "80]")).contains("not in the file"));
        assert!(problem(&header.replace("F32", "F8")).contains("no element type F8"));
        assert!(problem(&header.replace("[2]", "[3]")).contains("bytes"));
        assert!(problem("{").contains("EOF"));
        let short = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(short.path(), u64::MAX.to_le_bytes()).unwrap();
        assert!(read(short.path()).unwrap_err().to_string().contains("header"));
    }
}
