//! ONNX external data: tensors whose bytes lie in files beside the model.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Component, Path};
use tract_onnx::pb::{GraphProto, ModelProto, TensorProto, tensor_proto::DataLocation};

/// Whether the tensor's bytes lie in another file.
pub(super) fn is_external(tensor: &TensorProto) -> bool {
    tensor.data_location == Some(DataLocation::External as i32)
}

/// The first tensor whose external bytes are not there: its name and what is wrong.
pub(super) fn first_missing(model: &ModelProto, folder: &Path) -> Option<(String, String)> {
    tensors(model.graph.as_ref()?)
        .into_iter()
        .filter(|tensor| is_external(tensor))
        .find_map(|tensor| locate(tensor, folder).err().map(|reason| (tensor.name.clone(), reason)))
}

/// Every tensor stored in a graph, in its nodes' attributes and in their subgraphs.
fn tensors(graph: &GraphProto) -> Vec<&TensorProto> {
    // Depth is bounded: protobuf decoding stops at 100 levels.
    let mut found: Vec<&TensorProto> = graph.initializer.iter().collect();
    for attribute in graph.node.iter().flat_map(|node| &node.attribute) {
        found.extend(attribute.t.iter().chain(&attribute.tensors));
        found.extend(attribute.g.iter().chain(&attribute.graphs).flat_map(tensors));
    }
    found
}

/// The bytes of an external tensor; what stands in the way, in words.
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
    // A model must not make us read files outside its own folder.
    if !Path::new(location)
        .components()
        .all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
    {
        return Err(format!("its external data `{location}` lies outside the model's folder"));
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
