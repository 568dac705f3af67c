//! Operators that make tensors from nothing but shapes and attributes.
//!
//! Owns the trick that lets a shape hold the number of rows before it is known: it stands there as not-a-number, which
//! no integer can be.

use std::sync::Arc;

use super::super::plan::{Dim, Planned, Refusal, Site, TensorType, malformed, unsupported};
use super::super::tensor::{Element, Tensor, Values, count};

pub(super) fn constant(site: &Site<'_>) -> Result<Planned, Refusal> {
    let attributes = site.attributes;
    let list = |element, numbers: Vec<f64>| Tensor::numbers(element, vec![numbers.len()], numbers);
    let tensor = if let Some(tensor) = attributes.tensor("value")? {
        tensor
    } else if let Some(number) = attributes.float("value_float") {
        Tensor::numbers(Element::Float, vec![], vec![number])
    } else if let Some(number) = attributes.integer("value_int") {
        Tensor::numbers(Element::Integer, vec![], vec![number as f64])
    } else if let Some(numbers) = attributes.floats("value_floats") {
        list(Element::Float, numbers)
    } else if let Some(numbers) = attributes.integers("value_ints") {
        list(Element::Integer, numbers.iter().map(|number| *number as f64).collect())
    } else if let Some(text) = attributes.text("value_string")? {
        Tensor { element: Element::Text, shape: vec![], values: Values::Texts(vec![Arc::from(text)]) }
    } else if let Some(texts) = attributes.texts("value_strings")? {
        Tensor { element: Element::Text, shape: vec![texts.len()], values: Values::Texts(texts) }
    } else {
        return unsupported("a constant without a dense value");
    };
    let dims = tensor.shape.iter().map(|extent| Dim::Fixed(*extent)).collect();
    Ok(Planned::new(TensorType { element: tensor.element, dims }, move |_, _| Ok(tensor.values.clone())))
}

pub(super) fn constant_of_shape(site: &Site<'_>) -> Result<Planned, Refusal> {
    let Some(shape) = site.constant(0)? else { return malformed("the shape is missing") };
    let dims = dims(shape)?;
    let (element, number) = match site.attributes.tensor("value")? {
        None => (Element::Float, 0.0),
        Some(tensor) => match tensor.as_numbers() {
            [number] => (tensor.element, *number),
            _ => return malformed("the value is not one number"),
        },
    };
    Ok(Planned::new(TensorType { element, dims }, move |_, shape| {
        Ok(Values::Numbers(vec![number; count(shape).unwrap_or(0)]))
    }))
}

pub(super) fn shape(site: &Site<'_>) -> Result<Planned, Refusal> {
    let input = site.input(0)?;
    let rank = input.rank() as i64;
    let place = |name: &str, otherwise: i64| {
        let wanted = site.attributes.integer(name).unwrap_or(otherwise);
        (if wanted < 0 { wanted.saturating_add(rank) } else { wanted }).clamp(0, rank) as usize
    };
    let (start, end) = (place("start", 0), place("end", rank));
    let extents: Vec<f64> = input
        .dims
        .get(start..end)
        .unwrap_or_default()
        .iter()
        .map(|dim| if let Dim::Fixed(extent) = dim { *extent as f64 } else { f64::NAN })
        .collect();
    let output = TensorType { element: Element::Integer, dims: vec![Dim::Fixed(extents.len())] };
    Ok(Planned::new(output, move |_, _| Ok(Values::Numbers(extents.clone()))))
}

/// Reads a shape in which not-a-number stands for the number of rows.
pub(super) fn dims(shape: &Tensor) -> Result<Vec<Dim>, Refusal> {
    let dim = |extent: &f64| match *extent {
        extent if extent.is_nan() => Ok(Dim::Rows),
        extent if extent >= 0.0 => Ok(Dim::Fixed(extent as usize)),
        extent => malformed(format!("a shape with a length of {extent}")),
    };
    shape.as_numbers().iter().map(dim).collect()
}
