//! Operators that keep every value in its place and change only the shape.
//!
//! Owns the rules by which the axis of rows finds its place in a new shape. It refuses shapes in which rows would be
//! cut up or joined.

use super::super::plan::{
    Dim, Operand, Planned, Refusal, Site, TensorType, axis, fixed_product, malformed, unsupported,
};

/// `Identity`, `Dropout` while scoring, and `ZipMap`, whose tensor of probabilities is what is wanted.
pub(super) fn identity(site: &Site<'_>) -> Result<Planned, Refusal> {
    if site.operator == "Dropout" && site.constant(2)?.is_some_and(|training| training.as_numbers() == [1.0])
    {
        return unsupported("dropout in training mode");
    }
    Ok(Planned::same_values(site.input(0)?))
}

/// The shape is an attribute before version 5, which no exporter in use writes.
pub(super) fn reshape(site: &Site<'_>) -> Result<Planned, Refusal> {
    let input = site.input(0)?;
    let Some(shape) = site.constant(1)? else { return malformed("the new shape is missing") };
    let keeps_zero = site.attributes.integer("allowzero").unwrap_or(0) != 0;
    let mut open = None;
    let mut dims = Vec::with_capacity(shape.len());
    for (place, extent) in shape.as_numbers().iter().enumerate() {
        dims.push(match *extent {
            extent if extent.is_nan() => Dim::Rows,
            0.0 if !keeps_zero => match input.dims.get(place) {
                Some(dim) => *dim,
                None => return malformed("the new shape copies an axis that is not there"),
            },
            -1.0 if open.replace(place).is_none() => Dim::Fixed(1),
            extent if extent >= 0.0 => Dim::Fixed(extent as usize),
            extent => return malformed(format!("the new shape has a length of {extent}")),
        });
    }
    if let Some(place) = open {
        dims[place] = open_dim(&input, &dims)?;
    }
    fitting(&input, dims)
}

/// What the one open length of a new shape is.
fn open_dim(input: &TensorType, dims: &[Dim]) -> Result<Dim, Refusal> {
    let (Some(from), Some(to)) = (input.elements(), fixed_product(dims)) else {
        return unsupported("a tensor that is too large");
    };
    if input.rows_axis().is_some() && !dims.contains(&Dim::Rows) {
        return if from == to {
            Ok(Dim::Rows)
        } else {
            unsupported("a new shape that cuts up or joins rows")
        };
    }
    if to == 0 || from % to != 0 {
        return malformed(format!("{from} values do not fill a shape of {to} and an open axis"));
    }
    Ok(Dim::Fixed(from / to))
}

/// A new shape holds the same values, and the axis of rows stays the same number of values away from the front.
fn fitting(input: &TensorType, dims: Vec<Dim>) -> Result<Planned, Refusal> {
    let output = input.with_dims(dims);
    let before = |tensor_type: &TensorType| {
        tensor_type.rows_axis().map(|axis| fixed_product(&tensor_type.dims[..axis]).unwrap_or(usize::MAX))
    };
    if input.rows_axis().is_some() && (output.rows_axis().is_none() || before(input) != before(&output)) {
        return unsupported(format!(
            "{} reshaped to {}, which mixes rows",
            input.describe(),
            output.describe()
        ));
    }
    if input.elements() != output.elements() || input.rows_axis().is_some() != output.rows_axis().is_some() {
        return malformed(format!("{} reshaped to {}", input.describe(), output.describe()));
    }
    Ok(Planned::same_values(output))
}

pub(super) fn flatten(site: &Site<'_>) -> Result<Planned, Refusal> {
    let input = site.input(0)?;
    let wanted = site.attributes.integer("axis").unwrap_or(1);
    let cut = if wanted == input.rank() as i64 { input.rank() } else { axis(wanted, input.rank())? };
    let join = |dims: &[Dim]| match (fixed_product(dims), dims.contains(&Dim::Rows)) {
        (Some(1), true) => Ok(Dim::Rows),
        (Some(extent), false) => Ok(Dim::Fixed(extent)),
        _ => unsupported("a flat shape that joins rows"),
    };
    let dims = vec![join(&input.dims[..cut])?, join(&input.dims[cut..])?];
    fitting(&input, dims)
}

/// Axes are an attribute up to version 12 and an input after.
pub(super) fn squeeze(site: &Site<'_>) -> Result<Planned, Refusal> {
    let input = site.input(0)?;
    let gone: Vec<usize> = match site.integers("axes", 1)? {
        Some(axes) => axes.iter().map(|index| axis(*index, input.rank())).collect::<Result<_, _>>()?,
        None => (0..input.rank()).filter(|axis| input.dims[*axis] == Dim::Fixed(1)).collect(),
    };
    if let Some(axis) = gone.iter().find(|axis| input.dims[**axis] != Dim::Fixed(1)) {
        return unsupported(format!("axis {axis} of {} squeezed", input.describe()));
    }
    let dims =
        input.dims.iter().enumerate().filter(|(axis, _)| !gone.contains(axis)).map(|(_, dim)| *dim).collect();
    fitting(&input, dims)
}

pub(super) fn unsqueeze(site: &Site<'_>) -> Result<Planned, Refusal> {
    let input = site.input(0)?;
    let Some(axes) = site.integers("axes", 1)? else { return malformed("the new axes are missing") };
    let rank = input.rank() + axes.len();
    let new: Vec<usize> = axes.iter().map(|index| axis(*index, rank)).collect::<Result<_, _>>()?;
    let mut old = input.dims.iter();
    let dims: Vec<Dim> = (0..rank)
        .filter_map(|axis| if new.contains(&axis) { Some(Dim::Fixed(1)) } else { old.next().copied() })
        .collect();
    if dims.len() != rank {
        return malformed("a new axis is named twice");
    }
    fitting(&input, dims)
}

/// Whether an input is there and the same for all requests.
pub(super) fn is_constant(site: &Site<'_>, index: usize) -> bool {
    matches!(site.operands.get(index), Some(Operand::Constant(_)))
}
