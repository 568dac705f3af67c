//! Operators that prepare numbers for a model: scaling, filling in, cutting, joining.
//!
//! Owns `Scaler`, `Normalizer`, `Imputer`, `Binarizer` and `FeatureVectorizer`. All yield single precision in the
//! graph; here the values stay doubles.

use super::super::plan::{Dim, Planned, Refusal, Site, TensorType, malformed, unsupported};
use super::super::tensor::{Element, Values, single};

/// One value for every feature, or one for all.
fn one_a_feature(values: Vec<f64>, input: &TensorType, name: &str) -> Result<Vec<f64>, Refusal> {
    match input.dims.last() {
        Some(Dim::Fixed(features)) if values.len() == *features || values.len() == 1 => Ok(values),
        Some(Dim::Rows) if values.len() == 1 => Ok(values),
        _ => malformed(format!("{} values of '{name}' for {}", values.len(), input.describe())),
    }
}

/// (x - offset) * scale.
pub(super) fn scaler(site: &Site<'_>) -> Result<Planned, Refusal> {
    let input = site.numbers(0)?;
    let list = |name, otherwise| {
        one_a_feature(site.attributes.floats(name).unwrap_or_else(|| vec![otherwise]), &input, name)
    };
    let (offset, scale) = (list("offset", 0.0)?, list("scale", 1.0)?);
    Ok(Planned::new(input.with_element(Element::Float), move |inputs, _| {
        let numbers = inputs[0].as_numbers().iter().enumerate();
        Ok(Values::Numbers(
            numbers
                .map(|(place, x)| (x - offset[place % offset.len()]) * scale[place % scale.len()])
                .collect(),
        ))
    }))
}

pub(super) fn normalizer(site: &Site<'_>) -> Result<Planned, Refusal> {
    let input = site.numbers(0)?;
    let Some(width) = input.width().filter(|width| *width > 0) else {
        return unsupported(format!("{} normalized", input.describe()));
    };
    let norm: fn(&[f64]) -> f64 = match site.attributes.text("norm")?.unwrap_or("MAX") {
        "MAX" => |row| row.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        "L1" => |row| row.iter().map(|number| number.abs()).sum(),
        "L2" => |row| row.iter().map(|number| number * number).sum::<f64>().sqrt(),
        other => return malformed(format!("a norm '{other}'")),
    };
    Ok(Planned::new(input.with_element(Element::Float), move |inputs, _| {
        let mut numbers = inputs[0].as_numbers().to_vec();
        for row in numbers.chunks_exact_mut(width) {
            let norm = norm(row);
            if norm != 0.0 {
                for number in row {
                    *number /= norm;
                }
            }
        }
        Ok(Values::Numbers(numbers))
    }))
}

pub(super) fn imputer(site: &Site<'_>) -> Result<Planned, Refusal> {
    let input = site.numbers(0)?;
    let whole = input.element == Element::Integer;
    let (imputed, replaced) = if whole {
        let imputed = site.attributes.integers("imputed_value_int64s");
        let imputed = imputed.map(|list| list.iter().map(|number| *number as f64).collect());
        (imputed, site.attributes.integer("replaced_value_int64").map(|number| number as f64))
    } else {
        (site.attributes.floats("imputed_value_floats"), site.attributes.float("replaced_value_float"))
    };
    let Some(imputed) = imputed else { return malformed("the values to fill in are missing") };
    let imputed = one_a_feature(imputed, &input, "imputed_value")?;
    let replaced = replaced.unwrap_or(0.0);
    Ok(Planned::new(input, move |inputs, _| {
        let fill = |(place, number): (usize, &f64)| {
            let missing = if replaced.is_nan() { number.is_nan() } else { *number == replaced };
            if missing { imputed[place % imputed.len()] } else { *number }
        };
        Ok(Values::Numbers(inputs[0].as_numbers().iter().enumerate().map(fill).collect()))
    }))
}

/// 1 above the threshold, else 0.
pub(super) fn binarizer(site: &Site<'_>) -> Result<Planned, Refusal> {
    let input = site.numbers(0)?;
    let threshold = site.attributes.float("threshold").unwrap_or(0.0);
    let rounds = input.element == Element::Float;
    Ok(Planned::new(input, move |inputs, _| {
        let above = |number: &f64| {
            super::arithmetic::truth((if rounds { single(*number) } else { *number }) > threshold)
        };
        Ok(Values::Numbers(inputs[0].as_numbers().iter().map(above).collect()))
    }))
}

/// Joins the features of several tensors of rows.
pub(super) fn feature_vectorizer(site: &Site<'_>) -> Result<Planned, Refusal> {
    let mut widths = Vec::with_capacity(site.operands.len());
    for index in 0..site.operands.len() {
        let input = site.numbers(index)?;
        let Some(width) = input.width() else {
            return unsupported(format!("{} among joined features", input.describe()));
        };
        widths.push(width);
    }
    let wanted = site.attributes.integers("inputdimensions");
    if wanted.is_some_and(|wanted| !wanted.iter().copied().eq(widths.iter().map(|width| *width as i64))) {
        return malformed(format!("features of widths {widths:?} where others are declared"));
    }
    let total = widths.iter().sum();
    let output = TensorType { element: Element::Float, dims: vec![Dim::Rows, Dim::Fixed(total)] };
    Ok(Planned::new(output, move |inputs, shape| {
        let mut numbers = Vec::with_capacity(shape[0] * total);
        for row in 0..shape[0] {
            for (input, width) in inputs.iter().zip(&widths) {
                numbers.extend_from_slice(&input.as_numbers()[row * width..(row + 1) * width]);
            }
        }
        Ok(Values::Numbers(numbers))
    }))
}
