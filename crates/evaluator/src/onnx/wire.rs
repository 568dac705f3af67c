//! The bytes of an ONNX file: protocol buffers with the numbers of the public `onnx.proto`.
//!
//! Owns the messages, with the fields that are read here and no other, and the check that decoding stays within
//! [`DECODED_LIMIT`] bytes of memory: a message of two bytes on the wire takes hundreds in memory, so the wire is
//! walked once before anything is decoded. It refuses graphs inside attributes by not knowing their fields, so the
//! depth of a file is fixed and nothing recurses.

use prost::Message;

use crate::{EvaluatorError, Format};

/// The largest file that is read.
const BYTES_LIMIT: usize = 256 << 20;
/// The most memory that the decoded messages may take together.
const DECODED_LIMIT: u64 = 1 << 30;

#[derive(Clone, PartialEq, Message)]
pub(super) struct Model {
    #[prost(message, optional, tag = "7")]
    pub(super) graph: Option<Graph>,
    #[prost(message, repeated, tag = "8")]
    pub(super) operator_sets: Vec<OperatorSet>,
    #[prost(message, repeated, tag = "14")]
    pub(super) metadata: Vec<Entry>,
    /// Operators that the file defines itself. Only their presence is of interest.
    #[prost(bytes = "vec", repeated, tag = "25")]
    pub(super) functions: Vec<Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct OperatorSet {
    #[prost(string, tag = "1")]
    pub(super) domain: String,
    #[prost(int64, tag = "2")]
    pub(super) version: i64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Entry {
    #[prost(string, tag = "1")]
    pub(super) key: String,
    #[prost(string, tag = "2")]
    pub(super) value: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Graph {
    #[prost(message, repeated, tag = "1")]
    pub(super) nodes: Vec<Node>,
    #[prost(message, repeated, tag = "5")]
    pub(super) initializers: Vec<TensorMessage>,
    #[prost(message, repeated, tag = "11")]
    pub(super) inputs: Vec<ValueInfo>,
    #[prost(message, repeated, tag = "12")]
    pub(super) outputs: Vec<ValueInfo>,
    /// Only their presence is of interest.
    #[prost(bytes = "vec", repeated, tag = "15")]
    pub(super) sparse_initializers: Vec<Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Node {
    #[prost(string, repeated, tag = "1")]
    pub(super) inputs: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    pub(super) outputs: Vec<String>,
    #[prost(string, tag = "3")]
    pub(super) name: String,
    #[prost(string, tag = "4")]
    pub(super) operator: String,
    #[prost(message, repeated, tag = "5")]
    pub(super) attributes: Vec<Attribute>,
    #[prost(string, tag = "7")]
    pub(super) domain: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Attribute {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(float, optional, tag = "2")]
    pub(super) float: Option<f32>,
    #[prost(int64, optional, tag = "3")]
    pub(super) integer: Option<i64>,
    #[prost(bytes = "vec", optional, tag = "4")]
    pub(super) text: Option<Vec<u8>>,
    #[prost(message, optional, boxed, tag = "5")]
    pub(super) tensor: Option<Box<TensorMessage>>,
    #[prost(float, repeated, tag = "7")]
    pub(super) floats: Vec<f32>,
    #[prost(int64, repeated, tag = "8")]
    pub(super) integers: Vec<i64>,
    #[prost(bytes = "vec", repeated, tag = "9")]
    pub(super) texts: Vec<Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct TensorMessage {
    #[prost(int64, repeated, tag = "1")]
    pub(super) dims: Vec<i64>,
    #[prost(int32, tag = "2")]
    pub(super) element: i32,
    #[prost(float, repeated, tag = "4")]
    pub(super) floats: Vec<f32>,
    #[prost(int32, repeated, tag = "5")]
    pub(super) short_integers: Vec<i32>,
    #[prost(bytes = "vec", repeated, tag = "6")]
    pub(super) texts: Vec<Vec<u8>>,
    #[prost(int64, repeated, tag = "7")]
    pub(super) integers: Vec<i64>,
    #[prost(string, tag = "8")]
    pub(super) name: String,
    #[prost(bytes = "vec", optional, tag = "9")]
    pub(super) raw: Option<Vec<u8>>,
    #[prost(double, repeated, tag = "10")]
    pub(super) doubles: Vec<f64>,
    #[prost(uint64, repeated, tag = "11")]
    pub(super) naturals: Vec<u64>,
    /// 1 where the numbers lie in another file.
    #[prost(int32, tag = "14")]
    pub(super) location: i32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ValueInfo {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(message, optional, tag = "2")]
    pub(super) kind: Option<ValueKind>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ValueKind {
    #[prost(message, optional, tag = "1")]
    pub(super) tensor: Option<TensorKind>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct TensorKind {
    #[prost(int32, tag = "1")]
    pub(super) element: i32,
    #[prost(message, optional, tag = "2")]
    pub(super) shape: Option<Shape>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Shape {
    #[prost(message, repeated, tag = "1")]
    pub(super) dims: Vec<Extent>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Extent {
    #[prost(int64, optional, tag = "1")]
    pub(super) value: Option<i64>,
}

/// Decodes a file, after its size and the memory that decoding takes have been found to be within bounds.
pub(super) fn decode(bytes: &[u8]) -> Result<Model, EvaluatorError> {
    if bytes.len() > BYTES_LIMIT {
        return Err(too_large("the size in bytes", bytes.len() as u64, BYTES_LIMIT as u64));
    }
    let decoded =
        decoded_bytes(bytes, Place::Model).ok_or_else(|| broken("it ends early or holds a wrong length"))?;
    if decoded > DECODED_LIMIT {
        return Err(too_large("the memory that its parts take, in bytes,", decoded, DECODED_LIMIT));
    }
    Model::decode(bytes).map_err(|error| broken(error.to_string()))
}

fn broken(problem: impl Into<String>) -> EvaluatorError {
    EvaluatorError::malformed(Format::Onnx, "protocol buffer", problem)
}

pub(super) fn too_large(what: &'static str, found: u64, limit: u64) -> EvaluatorError {
    EvaluatorError::TooLarge { format: Format::Onnx, what, found, limit }
}

/// The messages that can be many in a file or hold much.
#[derive(Clone, Copy)]
enum Place {
    Model,
    Graph,
    Node,
    Attribute,
    Tensor,
    ValueInfo,
    /// Text, bytes and numbers, packed or not, and messages that are not decoded.
    Content,
}

impl Place {
    const fn inside(self, field: u64) -> Self {
        match (self, field) {
            (Self::Model, 7) => Self::Graph,
            (Self::Graph, 1) => Self::Node,
            (Self::Graph | Self::Attribute, 5) => Self::Tensor,
            (Self::Graph, 11 | 12) => Self::ValueInfo,
            (Self::Node, 5) => Self::Attribute,
            _ => Self::Content,
        }
    }
}

/// An upper bound of the memory that a message takes when it is decoded; `None` if the wire is broken.
fn decoded_bytes(bytes: &[u8], place: Place) -> Option<u64> {
    let mut rest = bytes;
    // A list grows by doubling, so it may take twice what its elements take.
    let mut total = 2 * size_of::<TensorMessage>().max(size_of::<Attribute>()) as u64;
    while !rest.is_empty() {
        let key = varint(&mut rest)?;
        total = total.saturating_add(match key & 7 {
            0 => {
                varint(&mut rest)?;
                16
            }
            1 => {
                rest = rest.get(8..)?;
                16
            }
            5 => {
                rest = rest.get(4..)?;
                8
            }
            2 => {
                let length = usize::try_from(varint(&mut rest)?).ok()?;
                let content = rest.get(..length)?;
                rest = rest.get(length..)?;
                match place.inside(key >> 3) {
                    Place::Content => content_bytes(place, key >> 3, length as u64),
                    inside => decoded_bytes(content, inside)?,
                }
            }
            _ => return None,
        });
    }
    Some(total)
}

/// What a field of this many bytes takes in memory: packed integers grow most, then the dimensions of an input.
const fn content_bytes(place: Place, field: u64, length: u64) -> u64 {
    let factor = match (place, field) {
        (Place::Attribute, 8) | (Place::Tensor, 1 | 5 | 7 | 11) => 16,
        (Place::ValueInfo, 2) => 64,
        _ => 2,
    };
    2 * size_of::<String>() as u64 + length.saturating_mul(factor)
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_of_the_wire_is_read() {
        let mut node = Node { operator: "Scaler".into(), ..Node::default() };
        node.attributes.push(Attribute {
            name: "offset".into(),
            floats: vec![1.5, -2.0],
            ..Attribute::default()
        });
        let model =
            Model { graph: Some(Graph { nodes: vec![node], ..Graph::default() }), ..Model::default() };
        assert_eq!(decode(&model.encode_to_vec()).unwrap(), model);
    }

    #[test]
    fn many_tiny_messages_are_refused_before_they_take_memory() {
        // Two bytes on the wire, the empty node, four million times.
        let graph = [0x0a, 0x00].repeat(4_000_000);
        let mut bytes = vec![0x08, 0x08, 0x3a];
        prost::encoding::encode_varint(graph.len() as u64, &mut bytes);
        bytes.extend(graph);
        let refused = matches!(decode(&bytes), Err(EvaluatorError::TooLarge { limit: DECODED_LIMIT, .. }));
        assert!(refused);
    }

    #[test]
    fn a_length_beyond_the_file_is_refused() {
        // Field 7 with a length of 2^40.
        let bytes = [0x08, 0x08, 0x3a, 0x80, 0x80, 0x80, 0x80, 0x80, 0x20];
        assert!(matches!(decode(&bytes), Err(EvaluatorError::Malformed { .. })));
    }
}
