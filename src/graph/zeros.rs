//! Zeros that an encoder leaves out.
//!
//! ONNX files tell a value of 0 from a missing value, and some engines ask which it is: `keepdims: 0` is not the default
//! of `keepdims`. The decoded form of this crate cannot tell them apart, and its encoder writes no zeros. So zeros are
//! written into the encoded file: an attribute of a type has a value of that type.

use prost::Message as _;
use prost::encoding::{WireType, decode_key, decode_varint, encode_key, encode_varint};
use std::borrow::Cow;
use tract_onnx::pb::ModelProto;

/// A kind of message, with the fields that lead to attributes.
#[derive(Clone, Copy)]
enum MessageKind {
    Model,
    Graph,
    Function,
    Node,
    Attribute,
}

impl MessageKind {
    /// The kind of message in a field, if attributes may be in it. The numbers are those of `onnx.proto`.
    fn inside(self, field: u32) -> Option<MessageKind> {
        match (self, field) {
            (MessageKind::Model, 7) | (MessageKind::Attribute, 6 | 11) => Some(MessageKind::Graph),
            (MessageKind::Model, 25) => Some(MessageKind::Function),
            (MessageKind::Graph, 1) | (MessageKind::Function, 7) => Some(MessageKind::Node),
            (MessageKind::Node, 5) => Some(MessageKind::Attribute),
            _ => None,
        }
    }
}

/// The type of an attribute and the field of its value.
const TYPE: u32 = 20;
const FLOAT: (u64, u32) = (1, 2);
const INT: (u64, u32) = (2, 3);
const STRING: (u64, u32) = (3, 4);

/// A model, encoded.
pub(super) fn encoded(model: &ModelProto) -> Vec<u8> {
    with_zeros(model.encode_to_vec())
}

/// An encoded model with the zeros of its attributes. A file that does not decode is returned as it is.
fn with_zeros(model: Vec<u8>) -> Vec<u8> {
    match rewritten(&model, MessageKind::Model) {
        Some(Cow::Owned(rewritten)) => rewritten,
        _ => model,
    }
}

/// The message, in a new form if anything in it is new.
fn rewritten(message: &[u8], kind: MessageKind) -> Option<Cow<'_, [u8]>> {
    let mut out: Option<Vec<u8>> = None;
    let (mut rest, mut of_type, mut seen) = (message, 0, Vec::new());
    while !rest.is_empty() {
        let start = message.len() - rest.len();
        let (field, wire) = decode_key(&mut rest).ok()?;
        seen.push(field);
        let mut replaced = None;
        match wire {
            WireType::Varint => {
                let value = decode_varint(&mut rest).ok()?;
                of_type = if field == TYPE { value } else { of_type };
            }
            WireType::SixtyFourBit => rest = rest.get(8..)?,
            WireType::ThirtyTwoBit => rest = rest.get(4..)?,
            WireType::LengthDelimited => {
                let length = usize::try_from(decode_varint(&mut rest).ok()?).ok()?;
                let content = rest.get(..length)?;
                rest = rest.get(length..)?;
                if let Some(inside) = kind.inside(field)
                    && let Cow::Owned(new) = rewritten(content, inside)?
                {
                    replaced = Some(new);
                }
            }
            WireType::StartGroup | WireType::EndGroup => return None,
        }
        let end = message.len() - rest.len();
        if let Some(new) = replaced {
            let out = out.get_or_insert_with(|| message[..start].to_vec());
            encode_key(field, WireType::LengthDelimited, out);
            encode_varint(new.len() as u64, out);
            out.extend_from_slice(&new);
        } else if let Some(out) = &mut out {
            out.extend_from_slice(&message[start..end]);
        }
    }
    if let (MessageKind::Attribute, Some(zero)) = (kind, zero(of_type, &seen)) {
        out.get_or_insert_with(|| message.to_vec()).extend(zero);
    }
    Some(out.map_or(Cow::Borrowed(message), Cow::Owned))
}

/// The bytes of an attribute's missing zero.
fn zero(of_type: u64, seen: &[u32]) -> Option<Vec<u8>> {
    let (field, wire, value): (u32, WireType, &[u8]) = match of_type {
        of_type if of_type == FLOAT.0 => (FLOAT.1, WireType::ThirtyTwoBit, &[0; 4]),
        of_type if of_type == INT.0 => (INT.1, WireType::Varint, &[0]),
        of_type if of_type == STRING.0 => (STRING.1, WireType::LengthDelimited, &[0]),
        _ => return None,
    };
    if seen.contains(&field) {
        return None;
    }
    let mut bytes = Vec::new();
    encode_key(field, wire, &mut bytes);
    bytes.extend_from_slice(value);
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A message of fields that contain messages or bytes.
    fn field(number: u32, content: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode_key(number, WireType::LengthDelimited, &mut bytes);
        encode_varint(content.len() as u64, &mut bytes);
        bytes.extend_from_slice(content);
        bytes
    }

    /// An attribute `keepdims` of a type, with more bytes.
    fn attribute(of_type: u8, more: &[u8]) -> Vec<u8> {
        [field(1, b"keepdims"), vec![0xa0, 0x01, of_type], more.to_vec()].concat()
    }

    fn model(attributes: &[Vec<u8>]) -> Vec<u8> {
        let attributes: Vec<u8> = attributes.iter().flat_map(|bytes| field(5, bytes)).collect();
        let node = [field(1, b"x"), attributes, field(4, b"ReduceSum")].concat();
        let graph = [field(1, &node), field(2, b"graph")].concat();
        [vec![0x08, 0x08], field(7, &graph), field(8, b"")].concat()
    }

    #[test]
    fn a_missing_zero_is_written() {
        let zeros: [(u8, &[u8]); 3] = [(1, &[0x15, 0, 0, 0, 0]), (2, &[0x18, 0]), (3, &[0x22, 0])];
        for (of_type, zero) in zeros {
            let without = model(&[attribute(of_type, b""), attribute(2, &[0x18, 1])]);
            let with = model(&[attribute(of_type, zero), attribute(2, &[0x18, 1])]);
            assert_eq!(with_zeros(without), with);
            assert_eq!(with_zeros(with.clone()), with, "a zero that is there stays alone");
        }
    }

    #[test]
    fn what_is_no_message_stays() {
        for bytes in [&b"no model"[..], &[0x3a, 0xff, 0x01], &[]] {
            assert_eq!(with_zeros(bytes.to_vec()), bytes);
        }
    }
}
