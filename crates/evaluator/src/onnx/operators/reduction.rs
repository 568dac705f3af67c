//! Operators that make one value of many along an axis that is not the axis of rows, and softmax.
//!
//! Owns sums, extremes and their places. All sums are in double precision and in the order of the values.

use super::super::plan::{Dim, Planned, Refusal, Site, TensorType, axis, fixed_product, unsupported};
use super::super::tensor::{Element, Values, strides, walk};

/// Axes are an attribute in old versions and an input after; all axes if there are none.
pub(super) fn reduce(site: &Site<'_>) -> Result<Planned, Refusal> {
    let input = site.numbers(0)?;
    let keeps = site.attributes.integer("keepdims").unwrap_or(1) != 0;
    let axes = site.integers("axes", 1)?.unwrap_or_default();
    if axes.is_empty() && site.attributes.integer("noop_with_empty_axes").unwrap_or(0) != 0 {
        return Ok(Planned::same_values(input));
    }
    let gone: Vec<usize> = if axes.is_empty() {
        (0..input.rank()).collect()
    } else {
        axes.iter().map(|index| axis(*index, input.rank())).collect::<Result<_, _>>()?
    };
    if gone.iter().any(|axis| input.dims[*axis] == Dim::Rows) {
        return unsupported("a reduction over rows");
    }
    let dims = input.dims.iter().enumerate().filter_map(|(axis, dim)| match (gone.contains(&axis), keeps) {
        (false, _) => Some(*dim),
        (true, true) => Some(Dim::Fixed(1)),
        (true, false) => None,
    });
    let output = input.with_dims(dims.collect());
    let fold = fold(site.operator)?;
    Ok(Planned::new(output, move |inputs, _| {
        let own = &inputs[0].shape;
        let kept: Vec<usize> = own
            .iter()
            .enumerate()
            .map(|(axis, extent)| if gone.contains(&axis) { 1 } else { *extent })
            .collect();
        let mut steps = strides(&kept);
        for axis in &gone {
            steps[*axis] = 0;
        }
        let mut groups = vec![Vec::new(); kept.iter().product()];
        for (number, group) in inputs[0].as_numbers().iter().zip(walk(own, &steps, 0)) {
            groups[group].push(*number);
        }
        Ok(Values::Numbers(groups.iter().map(|group| fold(group)).collect()))
    }))
}

fn fold(operator: &str) -> Result<fn(&[f64]) -> f64, Refusal> {
    Ok(match operator {
        "ReduceL1" => |group| group.iter().map(|number| number.abs()).sum(),
        "ReduceL2" => |group| group.iter().map(|number| number * number).sum::<f64>().sqrt(),
        "ReduceLogSumExp" => |group| {
            let largest = largest(group);
            if largest.is_finite() {
                largest + group.iter().map(|number| (number - largest).exp()).sum::<f64>().ln()
            } else {
                largest
            }
        },
        "ReduceMax" => largest,
        "ReduceMean" => |group| group.iter().sum::<f64>() / group.len() as f64,
        "ReduceMin" => |group| -largest(&group.iter().map(|number| -number).collect::<Vec<_>>()),
        "ReduceProd" => |group| group.iter().product(),
        "ReduceSum" => |group| group.iter().sum(),
        "ReduceSumSquare" => |group| group.iter().map(|number| number * number).sum(),
        other => return unsupported(format!("the operator {other}")),
    })
}

/// The largest number; not-a-number stays.
fn largest(group: &[f64]) -> f64 {
    group.iter().copied().fold(
        f64::NEG_INFINITY,
        |left, right| {
            if left.is_nan() || left > right { left } else { right }
        },
    )
}

/// A tensor seen as `outer` parts of `length` groups of `inner` values.
#[derive(Clone, Copy)]
struct Along {
    axis: usize,
    /// Whether all axes from `axis` on count as one, as before version 13 of softmax.
    to_the_end: bool,
}

impl Along {
    fn new(input: &TensorType, axis: usize, to_the_end: bool) -> Result<Self, Refusal> {
        let touched = if to_the_end { &input.dims[axis..] } else { &input.dims[axis..=axis] };
        if touched.contains(&Dim::Rows) || fixed_product(touched).is_none() {
            return unsupported("a choice or a sum over rows");
        }
        Ok(Self { axis, to_the_end })
    }

    /// Calls for each group with the place of its first value, the step to the next, and how many there are.
    fn each(self, shape: &[usize], mut group: impl FnMut(usize, usize, usize)) {
        let (length, inner) = if self.to_the_end {
            (shape[self.axis..].iter().product(), 1)
        } else {
            (shape[self.axis], shape[self.axis + 1..].iter().product())
        };
        let outer: usize = shape[..self.axis].iter().product();
        for part in 0..outer {
            for offset in 0..inner {
                group(part * length * inner + offset, inner, length);
            }
        }
    }
}

pub(super) fn softmax(site: &Site<'_>) -> Result<Planned, Refusal> {
    let input = site.numbers(0)?;
    let old = site.version < 13;
    let wanted = site.attributes.integer("axis").unwrap_or(if old { 1 } else { -1 });
    let along = Along::new(&input, axis(wanted, input.rank())?, old)?;
    let logarithm = site.operator == "LogSoftmax";
    Ok(Planned::new(input, move |inputs, shape| {
        let mut numbers = inputs[0].as_numbers().to_vec();
        along.each(shape, |first, step, length| {
            let places = || (0..length).map(|index| first + index * step);
            let largest = places().map(|place| numbers[place]).fold(f64::NEG_INFINITY, f64::max);
            let total: f64 = places().map(|place| (numbers[place] - largest).exp()).sum();
            for place in places() {
                let shifted = numbers[place] - largest;
                numbers[place] = if logarithm { shifted - total.ln() } else { shifted.exp() / total };
            }
        });
        Ok(Values::Numbers(numbers))
    }))
}

/// `ArgMax` and `ArgMin`.
pub(super) fn extreme_place(site: &Site<'_>) -> Result<Planned, Refusal> {
    let input = site.numbers(0)?;
    let axis = axis(site.attributes.integer("axis").unwrap_or(0), input.rank())?;
    let along = Along::new(&input, axis, false)?;
    let takes_last = site.attributes.integer("select_last_index").unwrap_or(0) != 0;
    let sign = if site.operator == "ArgMin" { -1.0 } else { 1.0 };
    let mut dims = input.dims.clone();
    if site.attributes.integer("keepdims").unwrap_or(1) != 0 {
        dims[axis] = Dim::Fixed(1);
    } else {
        dims.remove(axis);
    }
    Ok(Planned::new(TensorType { element: Element::Integer, dims }, move |inputs, _| {
        let numbers = inputs[0].as_numbers();
        let mut places = Vec::new();
        along.each(&inputs[0].shape, |first, step, length| {
            let mut best = 0;
            for index in 1..length {
                let (champion, number) =
                    (sign * numbers[first + best * step], sign * numbers[first + index * step]);
                if number > champion || takes_last && number == champion {
                    best = index;
                }
            }
            places.push(best as f64);
        });
        Ok(Values::Numbers(places))
    }))
}
