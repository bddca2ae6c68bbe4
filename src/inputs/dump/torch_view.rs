//! Tensors as views of the storages in a file of `torch.save`.

use super::pickle::View;
use super::refusal::refuse;
use crate::inputs::InputError;
use crate::tensor::{Tensor, element_count};
use std::fs::File;
use std::io::{Read as _, Seek};
use std::path::Path;
use zip::ZipArchive;

/// The elements of a view in row-major order, from the member of the archive that has its storage.
pub(super) fn elements_of(path: &Path, name: &str, view: &View) -> Result<Tensor, InputError> {
    let read = || {
        let file = File::open(path).map_err(|error| error.to_string())?;
        read_view(&mut ZipArchive::new(file).map_err(|error| error.to_string())?, name, view)
    };
    read().map_err(|problem| refuse(path, problem))
}

/// A view's elements, from the member of an archive.
pub(super) fn read_view(
    archive: &mut ZipArchive<impl std::io::Read + Seek>,
    name: &str,
    view: &View,
) -> Result<Tensor, String> {
    elements(view, member(archive, name, u64::MAX)?).map_err(|problem| format!("{name}: {problem}"))
}

/// The bytes of a member of an archive.
pub(super) fn member(
    archive: &mut ZipArchive<impl std::io::Read + Seek>,
    name: &str,
    limit: u64,
) -> Result<Vec<u8>, String> {
    let file = archive.by_name(name).map_err(|error| format!("{name}: {error}"))?;
    if file.size() > limit {
        return Err(format!("{name} has {} bytes, the limit is {limit}", file.size()));
    }
    let mut bytes = Vec::new();
    let size = file.size();
    file.take(size).read_to_end(&mut bytes).map_err(|error| format!("{name}: {error}"))?;
    Ok(bytes)
}

/// The elements of a tensor in row-major order; its strides may be any.
fn elements(view: &View, storage: Vec<u8>) -> Result<Tensor, String> {
    let View { dtype, offset, shape, strides, .. } = view;
    let (size, count) =
        (dtype.size(), element_count(shape).ok_or("its shape has too many elements")?);
    let last = shape.iter().zip(strides).try_fold(*offset, |last, (extent, stride)| {
        last.checked_add(extent.saturating_sub(1).checked_mul(*stride)?)
    });
    let end = last.and_then(|last| last.checked_add(1)?.checked_mul(size));
    // A stride of 0 repeats elements: the result may be larger than the file by this much only.
    let is_inside = count == 0 || end.is_some_and(|end| end <= storage.len());
    if !is_inside || count.checked_mul(size).is_none_or(|bytes| bytes / 64 > storage.len()) {
        return Err("it is larger than its storage".into());
    }
    let bytes = match is_plain(shape, strides) || count == 0 {
        true => &storage[(offset * size).min(storage.len())..][..count * size],
        false => &gathered(view, count, &storage),
    };
    Tensor::from_bytes(*dtype, shape, bytes).map_err(|error| error.to_string())
}

/// Whether the elements follow each other in row-major order.
fn is_plain(shape: &[usize], strides: &[usize]) -> bool {
    let mut next = 1usize;
    shape.iter().zip(strides).rev().all(|(&extent, &stride)| {
        let is_next = extent == 1 || stride == next;
        next = next.saturating_mul(extent);
        is_next
    })
}

/// The elements one by one, in row-major order.
fn gathered(view: &View, count: usize, storage: &[u8]) -> Vec<u8> {
    let View { dtype, offset, shape, strides, .. } = view;
    let size = dtype.size();
    let mut bytes = Vec::with_capacity(count * size);
    let mut index = vec![0usize; shape.len()];
    for _ in 0..count {
        let at = index.iter().zip(strides).map(|(i, stride)| i * stride).sum::<usize>() + offset;
        bytes.extend_from_slice(&storage[at * size..(at + 1) * size]);
        for (i, extent) in index.iter_mut().zip(shape).rev() {
            *i += 1;
            if *i < *extent {
                break;
            }
            *i = 0;
        }
    }
    bytes
}
