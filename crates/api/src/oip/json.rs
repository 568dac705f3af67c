//! The JSON of an inference request, read in one pass into typed columns.
//!
//! A tensor's values are read as its datatype while its object is read, so that nothing is held twice; when a client
//! writes `data` before `datatype` or `shape`, the text of the values is kept until both are known. Values may be
//! nested as deep as the shape. Refuses more values than the shape announces before it stores them.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use greenlight_domain::frame::Column;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::error::OipError;
use super::tensor::{Datatype, Shape, shown};

const MAX_DEPTH: u8 = 4;

/// An inference request as JSON has it.
#[derive(Deserialize)]
pub(crate) struct InferRequest<'a> {
    #[serde(borrow, default)]
    pub(crate) id: Option<Cow<'a, str>>,
    #[serde(default)]
    pub(crate) parameters: Parameters,
    #[serde(borrow)]
    pub(crate) inputs: Vec<InputTensor<'a>>,
    #[serde(borrow, default)]
    pub(crate) outputs: Vec<WantedOutput<'a>>,
}

/// The parameters that the protocol's binary extension defines, of a request or a tensor. Others are ignored.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Parameters {
    #[serde(rename = "binary_data_size")]
    pub(crate) input_bytes: Option<usize>,
    #[serde(rename = "binary_data")]
    pub(crate) output: Option<bool>,
    #[serde(rename = "binary_data_output")]
    pub(crate) all_outputs: Option<bool>,
}

/// An output that the client asks for.
#[derive(Deserialize)]
pub(crate) struct WantedOutput<'a> {
    #[serde(borrow)]
    pub(crate) name: Cow<'a, str>,
    #[serde(default)]
    pub(crate) parameters: Parameters,
}

/// Where the values of an input are.
pub(crate) enum Data {
    Column(Column),
    /// That many bytes after the JSON.
    Binary(usize),
}

/// An input.
pub(crate) struct InputTensor<'a> {
    pub(crate) name: Cow<'a, str>,
    pub(crate) datatype: Datatype,
    pub(crate) shape: Shape,
    pub(crate) data: Data,
}

/// Reads the JSON of a request.
pub(crate) fn parse(bytes: &[u8]) -> Result<InferRequest<'_>, OipError> {
    serde_json::from_slice(bytes)
        .map_err(|e| OipError::invalid(format!("the body is not an inference request: {e}")))
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "lowercase")]
enum Key {
    Name,
    Shape,
    Datatype,
    Data,
    Parameters,
    #[serde(other)]
    Other,
}

/// A text that is borrowed when it has no escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// A shape. Sizes past the fourth are counted, not kept: no shape that is taken has them.
#[derive(Default)]
struct Dimensions {
    sizes: [i64; 4],
    count: usize,
}

impl Dimensions {
    fn sizes(&self) -> &[i64] {
        &self.sizes[..self.count.min(self.sizes.len())]
    }
}

impl<'de> Deserialize<'de> for Dimensions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(DimensionsVisitor)
    }
}

struct DimensionsVisitor;

impl<'de> Visitor<'de> for DimensionsVisitor {
    type Value = Dimensions;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a shape: a list of sizes")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Dimensions, A::Error> {
        let mut dimensions = Dimensions::default();
        while let Some(size) = array.next_element()? {
            if let Some(place) = dimensions.sizes.get_mut(dimensions.count) {
                *place = size;
            }
            dimensions.count += 1;
        }
        Ok(dimensions)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for InputTensor<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(InputVisitor).map(|input: InputTensor<'de>| input)
    }
}

struct InputVisitor;

/// What was read of an input so far.
#[derive(Default)]
struct Partial<'de> {
    name: Option<Cow<'de, str>>,
    datatype: Option<Datatype>,
    shape: Option<Dimensions>,
    raw: Option<&'de RawValue>,
    column: Option<Column>,
    binary: Option<usize>,
}

impl<'de> Visitor<'de> for InputVisitor {
    type Value = InputTensor<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an input with name, shape, datatype and data")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut partial = Partial::default();
        while let Some(key) = map.next_key()? {
            match key {
                Key::Name => partial.name = Some(map.next_value::<Text<'de>>()?.0),
                Key::Shape => partial.shape = Some(map.next_value()?),
                Key::Datatype => {
                    let text: Text<'de> = map.next_value()?;
                    let unknown = || {
                        let name = shown(partial.name.as_deref().unwrap_or_default());
                        let datatype = shown(&text.0);
                        A::Error::custom(format!("input '{name}': datatype '{datatype}' is unknown"))
                    };
                    partial.datatype = Some(Datatype::parse(&text.0).ok_or_else(unknown)?);
                }
                Key::Data => match partial.values()? {
                    Some(values) => partial.column = Some(map.next_value_seed(values)?),
                    None => partial.raw = Some(map.next_value()?),
                },
                Key::Parameters => {
                    let parameters: Option<Parameters> = map.next_value()?;
                    partial.binary = parameters.and_then(|p| p.input_bytes);
                }
                Key::Other => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        partial.finish()
    }
}

impl<'de> Partial<'de> {
    /// How to read the values, once everything about them is known.
    fn values<E: Error>(&self) -> Result<Option<Values<'_>>, E> {
        let (Some(name), Some(datatype), Some(shape)) = (&self.name, self.datatype, &self.shape) else {
            return Ok(None);
        };
        let shape = Shape::check(name, shape.sizes()).map_err(|e| E::custom(e.message))?;
        Ok(Some(Values { name, datatype, elements: shape.elements() }))
    }

    fn finish<E: Error>(mut self) -> Result<InputTensor<'de>, E> {
        if let (Some(raw), Some(values)) = (self.raw, self.values()?) {
            let mut text = serde_json::Deserializer::from_str(raw.get());
            self.column = Some(values.deserialize(&mut text).map_err(E::custom)?);
        }
        let name = self.name.ok_or_else(|| E::missing_field("name"))?;
        let datatype = self.datatype.ok_or_else(|| E::missing_field("datatype"))?;
        let shape = self.shape.ok_or_else(|| E::missing_field("shape"))?;
        let shape = Shape::check(&name, shape.sizes()).map_err(|e| E::custom(e.message))?;
        let data = match (self.column, self.binary) {
            (Some(column), None) => Data::Column(column),
            (None, Some(size)) => Data::Binary(size),
            (None, None) => return Err(E::custom(format!("input '{}' has no data", shown(&name)))),
            (Some(_), Some(_)) => {
                let problem = format!("input '{}' has its data both in JSON and in binary", shown(&name));
                return Err(E::custom(problem));
            }
        };
        Ok(InputTensor { name, datatype, shape, data })
    }
}

/// Reads the values of a tensor.
struct Values<'n> {
    name: &'n str,
    datatype: Datatype,
    elements: usize,
}

impl<'de> DeserializeSeed<'de> for Values<'_> {
    type Value = Column;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Column, D::Error> {
        let wrong = |e: D::Error| {
            D::Error::custom(format!(
                "input '{}': data must be an array of {} {} ({e})",
                shown(self.name),
                self.elements,
                self.datatype.values()
            ))
        };
        // A shape may announce more than is ever sent, so memory grows with what comes.
        let room = self.elements.min(4_096);
        if self.datatype == Datatype::Bytes {
            let mut texts = Vec::with_capacity(room);
            let sink = Sink { put: &mut texts, elements: self.elements, depth: 0, read: TextElement };
            sink.deserialize(deserializer).map_err(wrong)?;
            return self.complete(texts.len()).map(|()| Column::Text(texts)).map_err(D::Error::custom);
        }
        let mut numbers = Vec::with_capacity(room);
        let read = NumberElement { datatype: self.datatype };
        let sink = Sink { put: &mut numbers, elements: self.elements, depth: 0, read };
        sink.deserialize(deserializer).map_err(wrong)?;
        self.complete(numbers.len()).map(|()| Column::Number(numbers)).map_err(D::Error::custom)
    }
}

impl Values<'_> {
    fn complete(&self, found: usize) -> Result<(), String> {
        if found == self.elements {
            return Ok(());
        }
        Err(format!("input '{}': shape says {} values, data has {found}", shown(self.name), self.elements))
    }
}

/// How one value is read.
trait Element: Copy {
    type Value;
    fn number(self, value: f64, is_integer: bool) -> Option<Self::Value>;
    fn truth(self, value: bool) -> Option<Self::Value>;
    fn null(self) -> Option<Self::Value>;
    fn text(self, value: &str) -> Option<Self::Value>;
}

#[derive(Clone, Copy)]
struct NumberElement {
    datatype: Datatype,
}

impl Element for NumberElement {
    type Value = f64;

    fn number(self, value: f64, is_integer: bool) -> Option<f64> {
        // The same text must mean the same number in JSON and in bytes.
        let value = if self.datatype == Datatype::Fp32 { f64::from(value as f32) } else { value };
        self.datatype.holds(value, is_integer).then_some(value)
    }

    fn truth(self, value: bool) -> Option<f64> {
        (self.datatype == Datatype::Bool).then_some(f64::from(u8::from(value)))
    }

    fn null(self) -> Option<f64> {
        self.datatype.is_float().then_some(f64::NAN)
    }

    fn text(self, _: &str) -> Option<f64> {
        None
    }
}

#[derive(Clone, Copy)]
struct TextElement;

impl Element for TextElement {
    type Value = Option<Arc<str>>;

    fn number(self, _: f64, _: bool) -> Option<Self::Value> {
        None
    }

    fn truth(self, _: bool) -> Option<Self::Value> {
        None
    }

    fn null(self) -> Option<Self::Value> {
        Some(None)
    }

    fn text(self, value: &str) -> Option<Self::Value> {
        Some(Some(value.into()))
    }
}

/// Puts the values of an array, nested or not, into a list.
struct Sink<'v, R: Element> {
    put: &'v mut Vec<R::Value>,
    elements: usize,
    depth: u8,
    read: R,
}

impl<R: Element> Sink<'_, R> {
    fn take<E: Error>(self, value: Option<R::Value>) -> Result<(), E> {
        let value =
            value.filter(|_| self.depth > 0).ok_or_else(|| E::custom("found another kind of value"))?;
        if self.put.len() >= self.elements {
            return Err(E::custom("found more values than that"));
        }
        self.put.push(value);
        Ok(())
    }
}

impl<'de, R: Element> DeserializeSeed<'de> for Sink<'_, R> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, R: Element> Visitor<'de> for Sink<'_, R> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of values")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<(), A::Error> {
        if self.depth == MAX_DEPTH {
            return Err(A::Error::custom("found arrays nested too deep"));
        }
        loop {
            let element =
                Sink { put: &mut *self.put, elements: self.elements, depth: self.depth + 1, read: self.read };
            if array.next_element_seed(element)?.is_none() {
                return Ok(());
            }
        }
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        let value = self.read.number(value, false);
        self.take(value)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        let value = self.read.number(value as f64, true);
        self.take(value)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        let value = self.read.number(value as f64, true);
        self.take(value)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        let value = self.read.truth(value);
        self.take(value)
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        let value = self.read.null();
        self.take(value)
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        let value = self.read.text(value);
        self.take(value)
    }
}
