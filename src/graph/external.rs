//! ONNX external data: tensors whose bytes are stored in files next to the model.

use super::CutError;
use super::limit::PROTOBUF_LIMIT;
use prost::Message as _;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Component, Path};
use tract_onnx::pb::{GraphProto, ModelProto, TensorProto, tensor_proto::DataLocation};

/// Whether the tensor's bytes are stored in a separate file.
pub(super) fn is_external(tensor: &TensorProto) -> bool {
    tensor.data_location == Some(DataLocation::External as i32)
}

/// The first tensor whose external bytes are missing: its name and the problem.
pub(super) fn first_missing(model: &ModelProto, folder: &Path) -> Option<(String, String)> {
    tensors(model.graph.as_ref()?)
        .into_iter()
        .filter(|tensor| is_external(tensor))
        .find_map(|tensor| locate(tensor, folder).err().map(|reason| (tensor.name.clone(), reason)))
}

/// Reads all external tensors of a model into it.
///
/// # Errors
/// When a tensor cannot be read, or the model would not fit a protobuf message.
pub(super) fn inline(model: &mut ModelProto, folder: &Path) -> Result<(), CutError> {
    let bytes = (model.encoded_len() as u64).saturating_add(bytes(model, folder)?);
    // Check the size before reading: a model that cannot be written need not be loaded.
    if bytes > PROTOBUF_LIMIT {
        return Err(CutError::TooLarge { bytes });
    }
    model.graph.iter_mut().try_for_each(|graph| inline_graph(graph, folder))
}

/// The bytes of all external tensors of a model.
///
/// # Errors
/// When a file is missing or too short.
pub(super) fn bytes(model: &ModelProto, folder: &Path) -> Result<u64, CutError> {
    let outside = model.graph.iter().flat_map(tensors).filter(|tensor| is_external(tensor));
    outside.into_iter().try_fold(0u64, |bytes, tensor| {
        let (_, _, length) = locate(tensor, folder).map_err(|reason| lost(tensor, reason))?;
        Ok(bytes.saturating_add(length))
    })
}

fn inline_graph(graph: &mut GraphProto, folder: &Path) -> Result<(), CutError> {
    let sparse =
        graph.sparse_initializer.iter_mut().flat_map(|s| s.values.iter_mut().chain(&mut s.indices));
    graph
        .initializer
        .iter_mut()
        .chain(sparse)
        .try_for_each(|tensor| inline_tensor(tensor, folder))?;
    for attribute in graph.node.iter_mut().flat_map(|node| &mut node.attribute) {
        let stored = attribute.t.iter_mut().chain(&mut attribute.tensors);
        stored.into_iter().try_for_each(|tensor| inline_tensor(tensor, folder))?;
        let inner = attribute.g.iter_mut().chain(&mut attribute.graphs);
        inner.into_iter().try_for_each(|graph| inline_graph(graph, folder))?;
    }
    Ok(())
}

fn inline_tensor(tensor: &mut TensorProto, folder: &Path) -> Result<(), CutError> {
    if is_external(tensor) {
        tensor.raw_data = read(tensor, folder).map_err(|reason| lost(tensor, reason))?;
        tensor.data_location = None;
        tensor.external_data.clear();
    }
    Ok(())
}

fn lost(tensor: &TensorProto, reason: String) -> CutError {
    CutError::ExternalData { tensor: tensor.name.clone(), reason }
}

/// Every tensor stored in a graph, in its nodes' attributes and in their subgraphs.
pub(super) fn tensors(graph: &GraphProto) -> Vec<&TensorProto> {
    // Depth is bounded: protobuf decoding stops at 100 levels.
    let mut found: Vec<&TensorProto> = graph.initializer.iter().collect();
    found.extend(graph.sparse_initializer.iter().flat_map(|s| s.values.iter().chain(&s.indices)));
    for attribute in graph.node.iter().flat_map(|node| &node.attribute) {
        found.extend(attribute.t.iter().chain(&attribute.tensors));
        found.extend(attribute.g.iter().chain(&attribute.graphs).flat_map(tensors));
    }
    found
}

/// The bytes of an external tensor. The error says why they cannot be read.
pub(super) fn read(tensor: &TensorProto, folder: &Path) -> Result<Vec<u8>, String> {
    let (mut file, offset, length) = locate(tensor, folder)?;
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(offset))
        .and_then(|_| file.take(length).read_to_end(&mut bytes))
        .map_err(|error| format!("its external data cannot be read: {error}"))?;
    Ok(bytes)
}

/// The open file, offset and length of an external tensor.
fn locate(tensor: &TensorProto, folder: &Path) -> Result<(File, u64, u64), String> {
    let entry =
        |key: &str| tensor.external_data.iter().find(|e| e.key == key).map(|e| e.value.as_str());
    let location = entry("location").ok_or("its external data has no location")?;
    // A model must not make offby read files outside the model's folder.
    if !Path::new(location)
        .components()
        .all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
    {
        return Err(format!("its external data `{location}` is outside the model's folder"));
    }
    let file = File::open(folder.join(location)).map_err(|error| {
        format!("its external data file `{location}` cannot be opened: {error}")
    })?;
    let size = file.metadata().map(|m| m.len()).unwrap_or(0);
    let number = |key: &str, otherwise: u64| match entry(key) {
        None => Ok(otherwise),
        Some(text) => text
            .parse::<u64>()
            .map_err(|_| format!("its external data's {key} `{text}` is not a number")),
    };
    let offset = number("offset", 0)?;
    let length = number("length", size.saturating_sub(offset))?;
    match offset.checked_add(length) {
        Some(end) if end <= size => Ok((file, offset, length)),
        _ => Err(format!("its external data file `{location}` is too short: {size} bytes")),
    }
}
