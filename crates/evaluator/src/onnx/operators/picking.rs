//! Operators that pick values by their place: parts, joins, repeats and turns of tensors.
//!
//! Owns the rules for which places are picked. It refuses to pick along the axis of rows, so no row sees another.

use super::super::plan::{
    Dim, Planned, Refusal, Site, TensorType, axis, broadcast, concrete, malformed, unsupported,
};
use super::super::tensor::{Element, Tensor, Values, strides, walk};
use super::movement::is_constant;
use super::shaping::dims;

/// The length of an axis that is not the axis of rows.
fn fixed(input: &TensorType, axis: usize) -> Result<usize, Refusal> {
    match input.dims[axis] {
        Dim::Fixed(extent) => Ok(extent),
        Dim::Rows => unsupported("picking among rows"),
    }
}

/// A position counted from the front; negative ones count from the back. `None` if it is outside.
pub(super) fn place(index: f64, extent: usize) -> Option<usize> {
    let counted = if index < 0.0 { index + extent as f64 } else { index };
    (counted >= 0.0 && counted < extent as f64).then_some(counted as usize)
}

/// For each outer part, each of these positions along `axis` and each inner value: its place.
fn along(shape: &[usize], axis: usize, positions: &[usize]) -> Vec<usize> {
    let inner: usize = shape[axis + 1..].iter().product();
    let outer: usize = shape[..axis].iter().product();
    let mut places = Vec::with_capacity(outer * positions.len() * inner);
    for part in 0..outer {
        for position in positions {
            let start = (part * shape[axis] + position) * inner;
            places.extend(start..start + inner);
        }
    }
    places
}

pub(super) fn gather(site: &Site<'_>) -> Result<Planned, Refusal> {
    let (input, indices) = (site.input(0)?, site.numbers(1)?);
    let axis = axis(site.attributes.integer("axis").unwrap_or(0), input.rank())?;
    if !is_constant(site, 0) && !is_constant(site, 1) {
        return unsupported("values and places that both depend on the request");
    }
    let extent = fixed(&input, axis)?;
    let output = [&input.dims[..axis], &indices.dims, &input.dims[axis + 1..]].concat();
    Ok(Planned::new(input.with_dims(output), move |inputs, _| {
        let positions = positions(inputs[1].as_numbers(), extent)?;
        Ok(inputs[0].values.pick(&along(&inputs[0].shape, axis, &positions)))
    }))
}

pub(super) fn positions(indices: &[f64], extent: usize) -> Result<Vec<usize>, String> {
    let position =
        |index: &f64| place(*index, extent).ok_or_else(|| format!("place {index} is picked among {extent}"));
    indices.iter().map(position).collect()
}

/// Bounds are attributes up to version 9 and inputs after.
pub(super) fn slice(site: &Site<'_>) -> Result<Planned, Refusal> {
    let input = site.input(0)?;
    let (Some(starts), Some(ends)) = (site.integers("starts", 1)?, site.integers("ends", 2)?) else {
        return malformed("the bounds of the slice are missing");
    };
    let axes = site.integers("axes", 3)?.unwrap_or_else(|| (0..starts.len() as i64).collect());
    let steps = site.integers("steps", 4)?.unwrap_or_else(|| vec![1; starts.len()]);
    if [ends.len(), axes.len(), steps.len()] != [starts.len(); 3] {
        return malformed("the bounds of the slice differ in length");
    }
    let mut output = input.dims.clone();
    let mut parts: Vec<(usize, Vec<usize>)> = Vec::new();
    for (((start, end), index), step) in starts.iter().zip(&ends).zip(&axes).zip(&steps) {
        let axis = axis(*index, input.rank())?;
        if input.dims[axis] == Dim::Rows && *start == 0 && *step == 1 && *end >= i64::from(i32::MAX) {
            continue;
        }
        let chosen = steps_between(*start, *end, *step, fixed(&input, axis)?)?;
        output[axis] = Dim::Fixed(chosen.len());
        parts.push((axis, chosen));
    }
    let whole = input.dims.clone();
    Ok(Planned::new(input.with_dims(output), move |inputs, shape| {
        let rows = inputs[0]
            .shape
            .iter()
            .zip(&whole)
            .find(|(_, dim)| **dim == Dim::Rows)
            .map_or(0, |(rows, _)| *rows);
        let mut current = concrete(&whole, rows);
        let mut values = inputs[0].values.clone();
        for (axis, positions) in &parts {
            values = values.pick(&along(&current, *axis, positions));
            current[*axis] = shape[*axis];
        }
        Ok(values)
    }))
}

fn steps_between(start: i64, end: i64, step: i64, extent: usize) -> Result<Vec<usize>, Refusal> {
    let length = extent as i64;
    let counted = |bound: i64| if bound < 0 { bound.saturating_add(length) } else { bound };
    if step == 0 {
        return malformed("a slice with a step of 0");
    }
    let (lowest, highest) = if step > 0 { (0, length) } else { (-1, length - 1) };
    let first = counted(start).clamp(lowest.max(0), highest.max(0));
    // For a walk backwards, an end before the front means: to the front.
    let last = if step < 0 && end < -length { -1 } else { counted(end).clamp(lowest, highest) };
    let mut chosen = Vec::new();
    let mut position = first;
    while (step > 0 && position < last || step < 0 && position > last) && position < length {
        chosen.push(position as usize);
        position = position.saturating_add(step);
    }
    Ok(chosen)
}

/// Lengths are an attribute up to version 12 and an input after; without them all parts are as long.
pub(super) fn split(site: &Site<'_>) -> Result<Planned, Refusal> {
    let input = site.input(0)?;
    let axis = axis(site.attributes.integer("axis").unwrap_or(0), input.rank())?;
    let extent = fixed(&input, axis)?;
    let lengths: Vec<usize> = if let Some(lengths) = site.integers("split", 1)? {
        lengths.iter().map(|length| usize::try_from(*length).unwrap_or(usize::MAX)).collect()
    } else {
        let part = extent.div_ceil(site.outputs.max(1)).max(1);
        (0..site.outputs).map(|index| part.min(extent.saturating_sub(index * part))).collect()
    };
    let sum = lengths.iter().try_fold(0_usize, |sum, length| sum.checked_add(*length));
    if sum != Some(extent) || lengths.len() < site.outputs {
        return malformed(format!("{extent} values split into parts of {lengths:?}"));
    }
    let outputs = lengths.iter().map(|length| {
        let mut dims = input.dims.clone();
        dims[axis] = Dim::Fixed(*length);
        input.with_dims(dims)
    });
    let outputs: Vec<TensorType> = outputs.collect();
    let types = outputs.clone();
    let run = move |inputs: &[&Tensor], rows: usize| {
        let mut start = 0;
        let parts = types.iter().zip(&lengths).map(|(part, length)| {
            let positions: Vec<usize> = (start..start + length).collect();
            start += length;
            let values = inputs[0].values.pick(&along(&inputs[0].shape, axis, &positions));
            Tensor { element: part.element, shape: concrete(&part.dims, rows), values }
        });
        Ok(parts.collect())
    };
    Ok(Planned::with_run(outputs, Box::new(run)))
}

pub(super) fn concat(site: &Site<'_>) -> Result<Planned, Refusal> {
    let first = site.input(0)?;
    let axis = axis(site.attributes.integer("axis").unwrap_or(1), first.rank())?;
    let mut total = 0_usize;
    for index in 0..site.operands.len() {
        let input = site.input(index)?;
        let fits = input.rank() == first.rank()
            && (0..input.rank()).all(|other| other == axis || input.dims[other] == first.dims[other]);
        if !fits || input.is_text() != first.is_text() {
            return unsupported(format!("{} joined to {}", input.describe(), first.describe()));
        }
        total = total.saturating_add(fixed(&input, axis)?);
    }
    let mut dims = first.dims.clone();
    dims[axis] = Dim::Fixed(total);
    Ok(Planned::new(first.with_dims(dims), move |inputs, shape| {
        let inner: usize = shape[axis + 1..].iter().product();
        let outer: usize = shape[..axis].iter().product();
        Ok(if first.element == Element::Text {
            Values::Texts(joined(outer, inputs, |input| (input.as_texts(), input.shape[axis] * inner)))
        } else {
            Values::Numbers(joined(outer, inputs, |input| (input.as_numbers(), input.shape[axis] * inner)))
        })
    }))
}

fn joined<'a, T: Clone + 'a>(
    outer: usize,
    inputs: &[&'a Tensor],
    values: impl Fn(&'a Tensor) -> (&'a [T], usize),
) -> Vec<T> {
    let parts: Vec<(&[T], usize)> = inputs.iter().map(|input| values(input)).collect();
    let mut all = Vec::with_capacity(parts.iter().map(|(values, _)| values.len()).sum());
    for part in 0..outer {
        for (values, length) in &parts {
            all.extend_from_slice(values.get(part * length..(part + 1) * length).unwrap_or_default());
        }
    }
    all
}

pub(super) fn transpose(site: &Site<'_>) -> Result<Planned, Refusal> {
    let input = site.input(0)?;
    let rank = input.rank();
    let order: Vec<usize> = match site.attributes.integers("perm") {
        Some(order) => order.iter().map(|index| axis(*index, rank)).collect::<Result<_, _>>()?,
        None => (0..rank).rev().collect(),
    };
    if order.len() != rank || (0..rank).any(|axis| !order.contains(&axis)) {
        return malformed(format!("axes in the order {order:?} of a tensor with {rank}"));
    }
    let dims = order.iter().map(|axis| input.dims[*axis]).collect();
    Ok(Planned::new(input.with_dims(dims), move |inputs, shape| {
        let own = strides(&inputs[0].shape);
        let steps: Vec<usize> = order.iter().map(|axis| own[*axis]).collect();
        Ok(inputs[0].values.pick(&walk(shape, &steps, 0)))
    }))
}

pub(super) fn expand(site: &Site<'_>) -> Result<Planned, Refusal> {
    let input = site.input(0)?;
    let Some(shape) = site.constant(1)? else { return malformed("the new shape is missing") };
    let dims = broadcast(&input.dims, &dims(shape)?)?;
    Ok(Planned::new(input.with_dims(dims), |inputs, shape| {
        let own = strides(&inputs[0].shape);
        let missing = shape.len() - own.len();
        let steps: Vec<usize> = (0..shape.len())
            .map(|axis| match axis.checked_sub(missing) {
                Some(axis) if inputs[0].shape[axis] > 1 => own[axis],
                _ => 0,
            })
            .collect();
        Ok(inputs[0].values.pick(&walk(shape, &steps, 0)))
    }))
}

pub(super) fn tile(site: &Site<'_>) -> Result<Planned, Refusal> {
    let input = site.input(0)?;
    let Some(repeats) = site.integers("repeats", 1)? else { return malformed("the repeats are missing") };
    if repeats.len() != input.rank() {
        return malformed(format!("{} repeats of a tensor with {} axes", repeats.len(), input.rank()));
    }
    let mut dims = Vec::with_capacity(input.rank());
    for (dim, repeat) in input.dims.iter().zip(&repeats) {
        dims.push(match (dim, usize::try_from(*repeat)) {
            (dim, Ok(1)) => *dim,
            (Dim::Fixed(extent), Ok(repeat)) => Dim::Fixed(extent.saturating_mul(repeat)),
            _ => return unsupported("rows that are repeated"),
        });
    }
    Ok(Planned::new(input.with_dims(dims), |inputs, shape| {
        let mut values = inputs[0].values.clone();
        let mut current = inputs[0].shape.clone();
        for (axis, extent) in shape.iter().enumerate() {
            if current[axis] != *extent {
                let positions: Vec<usize> =
                    (0..*extent).map(|position| position % current[axis].max(1)).collect();
                values = values.pick(&along(&current, axis, &positions));
                current[axis] = *extent;
            }
        }
        Ok(values)
    }))
}
