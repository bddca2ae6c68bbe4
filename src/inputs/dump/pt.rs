//! Files of `torch.save`: a zip archive with a pickle and the elements of each storage.

use super::pickle::{Value, View, unpickle};
use super::place::DumpEntry;
use super::refusal::refuse;
use super::torch_view::member;
use crate::inputs::InputError;
use std::fs::File;
use std::io::Seek;
use std::path::Path;
use zip::ZipArchive;

/// The longest pickle. The elements are not in it.
const PICKLE_LIMIT: u64 = 64 << 20;
/// How deep dictionaries and lists may contain each other.
const MOST_DEPTH: usize = 64;

/// The tensors of a file. Names of nested dictionaries are joined by dots; a lone tensor has the name `stem`.
pub(super) fn places(path: &Path, stem: &str) -> Result<Vec<(String, DumpEntry)>, InputError> {
    let file = File::open(path).map_err(|error| refuse(path, error.to_string()))?;
    let views = views(file, stem).map_err(|problem| refuse(path, problem))?;
    let place = |Named { name, member, view }| {
        (name, DumpEntry::Torch { path: path.to_owned(), member, view })
    };
    Ok(views.into_iter().map(place).collect())
}

/// A tensor of an archive.
struct Named {
    name: String,
    /// The member of the archive that has its storage.
    member: String,
    view: View,
}

/// The tensors of an archive.
fn views(file: impl std::io::Read + Seek, stem: &str) -> Result<Vec<Named>, String> {
    let mut archive = ZipArchive::new(file).map_err(|error| {
        format!("{error}; offby reads files that torch.save of PyTorch 1.6 and later writes")
    })?;
    let names = archive.file_names().filter_map(|name| Some(name.ok()?.into_owned()));
    let pickle = names.into_iter().find(|name| name.rsplit('/').next() == Some("data.pkl"));
    let pickle = pickle.ok_or("it has no data.pkl")?;
    let folder = pickle.trim_end_matches("data.pkl").to_owned();
    if let Ok(order) = member(&mut archive, &format!("{folder}byteorder"), 16)
        && order != b"little"
    {
        return Err("its elements are big-endian".into());
    }
    let value = unpickle(&member(&mut archive, &pickle, PICKLE_LIMIT)?)?;
    let mut views = Vec::new();
    collect(&value, String::new(), 0, &mut views)?;
    let named = |(name, view): (String, View)| Named {
        name: if name.is_empty() { stem.to_owned() } else { name },
        member: format!("{folder}data/{}", view.key),
        view,
    };
    Ok(views.into_iter().map(named).collect())
}

/// All tensors inside a value, with the keys that lead to them.
fn collect(
    value: &Value,
    name: String,
    depth: usize,
    views: &mut Vec<(String, View)>,
) -> Result<(), String> {
    if depth > MOST_DEPTH {
        return Err(format!("its dictionaries are more than {MOST_DEPTH} deep"));
    }
    let below = |key: &str| if name.is_empty() { key.to_owned() } else { format!("{name}.{key}") };
    match value {
        Value::Tensor(view) => views.push((name, view.clone())),
        Value::Dict(entries) => {
            for (key, value) in entries {
                let key = match key {
                    Value::Text(text) => text.clone(),
                    Value::Int(number) => number.to_string(),
                    _ => continue,
                };
                collect(value, below(&key), depth + 1, views)?;
            }
        }
        Value::List(values) | Value::Tuple(values) => {
            for (at, value) in values.iter().enumerate() {
                collect(value, below(&at.to_string()), depth + 1, views)?;
            }
        }
        _ => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::torch_view::read_view;
    use super::*;
    use crate::tensor::Tensor;
    use std::io::{Cursor, Write as _};
    use zip::write::SimpleFileOptions;

    /// An archive as `torch.save` writes it.
    fn archive(pickle: &[u8], storage: &[u8]) -> Cursor<Vec<u8>> {
        let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
        let options =
            SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
        for (name, bytes) in
            [("a/data.pkl", pickle), ("a/byteorder", b"little"), ("a/data/0", storage)]
        {
            archive.start_file(name, options).unwrap();
            archive.write_all(bytes).unwrap();
        }
        archive.finish().unwrap()
    }

    fn from_archive(archive: Cursor<Vec<u8>>, stem: &str) -> Result<Vec<(String, Tensor)>, String> {
        let views = views(archive.clone(), stem)?;
        let mut archive = ZipArchive::new(archive).map_err(|error| error.to_string())?;
        let tensor =
            |named: Named| Ok((named.name, read_view(&mut archive, &named.member, &named.view)?));
        views.into_iter().map(tensor).collect()
    }

    /// `{"w": tensor}` with a shape of 2x3, its transpose in memory.
    fn transposed() -> Vec<u8> {
        let mut pickle =
            b"\x80\x02}q\x00X\x01\x00\x00\x00wctorch._utils\n_rebuild_tensor_v2\n((".to_vec();
        pickle.extend(b"X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x06tQ");
        pickle.extend(b"K\x00K\x02K\x03\x86K\x01K\x02\x86\x89ccollections\nOrderedDict\n)RtRs.");
        pickle
    }

    fn storage() -> Vec<u8> {
        [0.0f32, 1.0, 2.0, 3.0, 4.0, 5.0].map(f32::to_le_bytes).concat()
    }

    #[test]
    fn strides_give_row_major_elements() {
        let read = from_archive(archive(&transposed(), &storage()), "x").unwrap();
        assert_eq!((read[0].0.as_str(), read[0].1.shape()), ("w", &[2, 3][..]));
        assert_eq!(read[0].1.numbers(1), [0.0, 2.0, 4.0, 1.0, 3.0, 5.0]);
    }

    #[test]
    fn a_pickle_with_code_is_refused_and_nothing_runs() {
        for (module, name) in
            [("os", "system"), ("builtins", "eval"), ("posix", "system"), ("torch", "load")]
        {
            let pickle = format!("\u{0}c{module}\n{name}\n(X\u{4}\u{0}\u{0}\u{0}touctR.");
            let pickle = [b"\x80\x02".as_slice(), &pickle.as_bytes()[1..]].concat();
            let problem = from_archive(archive(&pickle, b""), "x").unwrap_err();
            assert!(problem.contains(&format!("`{module}.{name}`")), "{problem}");
        }
        // Operations that build objects of any class.
        for operation in [b'i', b'o', b'\x81', b'\x92', b'P', b'\x82'] {
            let pickle = [b"\x80\x02(", &[operation][..], b"os\nsystem\n."].concat();
            assert!(from_archive(archive(&pickle, b""), "x").is_err(), "{operation}");
        }
    }

    #[test]
    fn what_grows_without_end_is_refused() {
        let doubled = |times: usize| {
            let mut pickle = b"\x80\x02)q\x00".to_vec();
            (0..times).for_each(|_| pickle.extend(b"h\x00h\x00\x86q\x000"));
            [pickle, b"h\x00.".to_vec()].concat()
        };
        let problem = |pickle: &[u8]| from_archive(archive(pickle, b""), "x").unwrap_err();
        assert!(problem(&doubled(60)).contains("copies more than"));
        let nested = [b"\x80\x02)".to_vec(), vec![b'\x85'; 100_000], b".".to_vec()].concat();
        assert!(problem(&nested).contains("deep"));
    }

    #[test]
    fn what_lies_about_sizes_is_refused() {
        let problem = from_archive(archive(&transposed(), &storage()[..20]), "x").unwrap_err();
        assert!(problem.contains("larger than its storage"), "{problem}");
        for length in 0..transposed().len() {
            assert!(from_archive(archive(&transposed()[..length], &storage()), "x").is_err());
        }
        assert!(from_archive(Cursor::new(b"PK".to_vec()), "x").is_err());
    }
}
