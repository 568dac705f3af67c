//! The UBJSON encoding (Universal Binary JSON, draft 12), as far as XGBoost writes it: big-endian numbers, lengths and
//! counts before what they count, arrays of one type.
//!
//! Owns the decoder, which feeds the same document as JSON. It refuses a length or a count that is larger than what is
//! left of the file, nesting deeper than [`DEPTH_LIMIT`], counted objects, and high-precision numbers.

use std::fmt;

use serde::de::{
    self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor, value::BorrowedStrDeserializer,
};
use serde::{Deserialize, forward_to_deserialize_any};

use super::document::Document;
use crate::evaluator::MarginModel;
use crate::{EvaluatorError, Format};

const DEPTH_LIMIT: usize = 64;

/// Reads a model from UBJSON.
pub(crate) fn read_ubj(bytes: &[u8]) -> Result<MarginModel, EvaluatorError> {
    let mut reader = Reader { bytes, at: 0, depth: 0 };
    let document = Document::deserialize(&mut reader).map_err(|problem| {
        EvaluatorError::malformed(Format::XgboostUbj, format!("byte {}", reader.at), problem.0)
    })?;
    super::build(document, Format::XgboostUbj)
}

/// What is wrong; the reader knows where.
#[derive(Debug)]
struct Problem(String);

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for Problem {}

impl de::Error for Problem {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

fn problem<T>(text: &str) -> Result<T, Problem> {
    Err(Problem(text.to_owned()))
}

struct Reader<'de> {
    bytes: &'de [u8],
    at: usize,
    depth: usize,
}

impl<'de> Reader<'de> {
    fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    fn take(&mut self, count: usize) -> Result<&'de [u8], Problem> {
        let end = self.at.checked_add(count).filter(|end| *end <= self.bytes.len());
        let Some(end) = end else { return problem("the file ends in the middle of a value") };
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Problem> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn byte(&mut self) -> Result<u8, Problem> {
        let [byte] = self.array()?;
        Ok(byte)
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// The marker of a value; no-ops before it are skipped.
    fn marker(&mut self) -> Result<u8, Problem> {
        loop {
            match self.byte()? {
                b'N' => {}
                marker => return Ok(marker),
            }
        }
    }

    fn integer(&mut self, marker: u8) -> Result<i64, Problem> {
        Ok(match marker {
            b'i' => i64::from(i8::from_be_bytes(self.array()?)),
            b'U' => i64::from(self.byte()?),
            b'I' => i64::from(i16::from_be_bytes(self.array()?)),
            b'l' => i64::from(i32::from_be_bytes(self.array()?)),
            b'L' => i64::from_be_bytes(self.array()?),
            _ => return problem("an integer was expected"),
        })
    }

    /// A length or a count, which what is left of the file must be able to hold.
    fn length(&mut self, bytes_each: usize) -> Result<usize, Problem> {
        let marker = self.byte()?;
        let length = usize::try_from(self.integer(marker)?).ok();
        match length.filter(|length| *length <= self.left() / bytes_each) {
            Some(length) => Ok(length),
            None => problem("a length is negative or larger than the file"),
        }
    }

    fn text(&mut self) -> Result<&'de str, Problem> {
        let length = self.length(1)?;
        std::str::from_utf8(self.take(length)?).or_else(|_| problem("a text is no UTF-8"))
    }

    fn value<V: Visitor<'de>>(&mut self, marker: u8, visitor: V) -> Result<V::Value, Problem> {
        match marker {
            b'Z' => visitor.visit_unit(),
            b'T' => visitor.visit_bool(true),
            b'F' => visitor.visit_bool(false),
            b'i' | b'U' | b'I' | b'l' | b'L' => visitor.visit_i64(self.integer(marker)?),
            b'd' => visitor.visit_f64(f64::from(f32::from_be_bytes(self.array()?))),
            b'D' => visitor.visit_f64(f64::from_be_bytes(self.array()?)),
            b'C' => visitor.visit_char(char::from(self.byte()?)),
            b'S' => visitor.visit_borrowed_str(self.text()?),
            b'[' => self.nested(|reader| reader.sequence(visitor)),
            b'{' => self.nested(|reader| visitor.visit_map(Object { reader })),
            _ => problem("a value begins with a byte that is no marker"),
        }
    }

    fn nested<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, Problem>) -> Result<T, Problem> {
        if self.depth == DEPTH_LIMIT {
            return problem("it is nested too deeply");
        }
        self.depth += 1;
        let value = read(self);
        self.depth -= 1;
        value
    }

    fn sequence<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Problem> {
        let mut sequence = Sequence { element: None, left: None, reader: self };
        sequence.header()?;
        let value = visitor.visit_seq(&mut sequence)?;
        if sequence.left != Some(0) {
            return problem("an array has more elements than belong there");
        }
        Ok(value)
    }
}

struct Sequence<'a, 'de> {
    reader: &'a mut Reader<'de>,
    /// The type of all elements, if the array has one.
    element: Option<u8>,
    /// Elements to come, if they were counted or the end was seen.
    left: Option<usize>,
}

impl Sequence<'_, '_> {
    fn header(&mut self) -> Result<(), Problem> {
        if self.reader.peek() == Some(b'$') {
            self.reader.byte()?;
            self.element = Some(self.reader.byte()?);
        }
        let bytes_each = match self.element {
            None | Some(b'i' | b'U' | b'C' | b'S' | b'[' | b'{') => 1,
            Some(b'I') => 2,
            Some(b'l' | b'd') => 4,
            Some(b'L' | b'D') => 8,
            // Elements without a byte of their own could be counted without end.
            Some(_) => return problem("an array has elements of a type that takes no space or is unknown"),
        };
        if self.reader.peek() == Some(b'#') {
            self.reader.byte()?;
            self.left = Some(self.reader.length(bytes_each)?);
        } else if self.element.is_some() {
            return problem("an array has a type and no count");
        }
        Ok(())
    }
}

impl<'de> SeqAccess<'de> for &mut Sequence<'_, 'de> {
    type Error = Problem;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Problem> {
        match &mut self.left {
            Some(0) => return Ok(None),
            Some(left) => *left -= 1,
            None if self.reader.peek() == Some(b']') => {
                self.reader.byte()?;
                self.left = Some(0);
                return Ok(None);
            }
            None => {}
        }
        let marker = match self.element {
            Some(marker) => marker,
            None => self.reader.marker()?,
        };
        seed.deserialize(Value { reader: self.reader, marker }).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        self.left
    }
}

struct Object<'a, 'de> {
    reader: &'a mut Reader<'de>,
}

impl<'de> MapAccess<'de> for Object<'_, 'de> {
    type Error = Problem;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Problem> {
        match self.reader.peek() {
            Some(b'}') => {
                self.reader.byte()?;
                Ok(None)
            }
            Some(b'#' | b'$') => problem("an object is counted"),
            _ => seed.deserialize(BorrowedStrDeserializer::new(self.reader.text()?)).map(Some),
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Problem> {
        seed.deserialize(&mut *self.reader)
    }
}

/// A value whose marker was read.
struct Value<'a, 'de> {
    reader: &'a mut Reader<'de>,
    marker: u8,
}

impl<'de> Deserializer<'de> for Value<'_, 'de> {
    type Error = Problem;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        self.reader.value(self.marker, visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        if self.marker == b'Z' { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

impl<'de> Deserializer<'de> for &mut Reader<'de> {
    type Error = Problem;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        let marker = self.marker()?;
        self.value(marker, visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        let marker = self.marker()?;
        Value { reader: self, marker }.deserialize_option(visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}
