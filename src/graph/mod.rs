//! Reads and writes ONNX: loading, inspecting, fixing shapes, building networks.
//!
//! Only this room knows protobuf. Outside it, only the tract engine sees the decoded types.

mod annotate;
mod attribute;
mod boundary;
mod constancy;
mod content;
mod cut;
mod cut_error;
mod edit;
mod element_type;
mod error;
mod expand;
mod exporter;
mod external;
mod keep;
mod layers;
mod limit;
mod model;
mod modules;
mod name;
mod network;
mod order;
mod quantised;
mod shape;
mod solo;
mod tensor_proto;
mod topology;
mod usage;
mod value_info;
mod whole;
mod widen;
mod wiring;
mod zeros;

pub use attribute::attributes_of;
pub use boundary::{Boundary, Cut};
pub use content::FileContent;
pub use cut_error::{CutError, Unused};
pub use edit::{Edit, Integers};
pub use error::{ModelError, ShapeError};
pub use exporter::Exported;
pub use layers::{LayerEnds, LayerRange, layer_of};
pub use model::{Model, Node};
pub use name::{ValueName, closest};
pub use network::{Attribute, Network};
pub use quantised::{QuantisedLayer, QuantisedPair, Steps};
pub use shape::{LARGEST_INPUT, ResolvedInput};
pub use solo::Solo;
pub use tensor_proto::{
    TensorProtoError, from_proto, read_tensor_proto, tensor_bytes, tensor_proto_from, to_proto,
};
pub use topology::Topology;
pub use usage::Usage;
pub use value_info::{Dim, ValueInfo};
pub use widen::widened;

#[cfg(test)]
mod cut_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod topology_tests;
