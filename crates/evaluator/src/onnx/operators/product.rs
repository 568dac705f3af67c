//! Products of matrices.
//!
//! Owns `MatMul` and `Gemm` for a request beside constants. It refuses stacks of matrices and products of two tensors
//! that both have rows.

use super::super::plan::{
    Dim, Planned, Refusal, Site, TensorType, broadcast, fixed_product, malformed, unsupported,
};
use super::super::tensor::{Tensor, Values, count, strides, walk};

/// The most multiplications that a product may take a row.
const WORK_LIMIT: usize = 1 << 28;

pub(super) fn matmul(site: &Site<'_>) -> Result<Planned, Refusal> {
    let (left, right) = (site.numbers(0)?, site.numbers(1)?);
    let (Some((left_depth, leading)), Some((right_depth, trailing))) =
        (left.dims.split_last(), right.dims.split_first())
    else {
        return malformed("a product with a single number");
    };
    if right.rank() > 2 {
        return unsupported(format!("the product of {} and {}", left.describe(), right.describe()));
    }
    let depth = common(*left_depth, *right_depth)?;
    let output = left.with_dims([leading, trailing].concat());
    let work = work(&output, depth)?;
    let planned = Planned::new(output, move |inputs, shape| {
        let width = inputs[1].len() / depth.max(1);
        let rows = count(shape).unwrap_or(0) / width.max(1);
        Ok(Values::Numbers(multiply(inputs[0].as_numbers(), inputs[1].as_numbers(), [rows, depth, width])))
    });
    Ok(planned.with_work(work))
}

fn common(left: Dim, right: Dim) -> Result<usize, Refusal> {
    match (left, right) {
        (Dim::Fixed(left), Dim::Fixed(right)) if left == right => Ok(left),
        (Dim::Fixed(left), Dim::Fixed(right)) => {
            malformed(format!("a product over {left} and {right} values"))
        }
        _ => unsupported("a product that adds up rows"),
    }
}

/// The multiplications a row.
fn work(output: &TensorType, depth: usize) -> Result<usize, Refusal> {
    match fixed_product(&output.dims).and_then(|elements| elements.checked_mul(depth)) {
        Some(work) if work <= WORK_LIMIT => Ok(work),
        _ => unsupported(format!("a product of more than {WORK_LIMIT} multiplications a row")),
    }
}

/// The product of a matrix of `rows` x `depth` and one of `depth` x `width`.
fn multiply(left: &[f64], right: &[f64], [rows, depth, width]: [usize; 3]) -> Vec<f64> {
    let mut product = vec![0.0; rows * width];
    if depth == 0 || width == 0 {
        return product;
    }
    for (sums, row) in product.chunks_exact_mut(width).zip(left.chunks_exact(depth)) {
        for (factor, weights) in row.iter().zip(right.chunks_exact(width)) {
            for (sum, weight) in sums.iter_mut().zip(weights) {
                *sum += factor * weight;
            }
        }
    }
    product
}

/// alpha * A * B + beta * C, with A and B turned if the attributes say so.
pub(super) fn gemm(site: &Site<'_>) -> Result<Planned, Refusal> {
    let turns = |name| site.attributes.integer(name).unwrap_or(0) != 0;
    let (turn_left, turn_right) = (turns("transA"), turns("transB"));
    let (left, right) = (matrix(site, 0, turn_left)?, matrix(site, 1, turn_right)?);
    let depth = common(left[1], right[0])?;
    let output = site.numbers(0)?.with_dims(vec![left[0], right[1]]);
    let work = work(&output, depth)?;
    let (alpha, beta) =
        (site.attributes.float("alpha").unwrap_or(1.0), site.attributes.float("beta").unwrap_or(1.0));
    let adds = site.is_there(2);
    if adds && broadcast(&output.dims, &site.numbers(2)?.dims)? != output.dims {
        return malformed("a term that does not fit the product");
    }
    let planned = Planned::new(output, move |inputs, shape| {
        let (left, right) = (turned(inputs[0], turn_left), turned(inputs[1], turn_right));
        let mut product = multiply(&left, &right, [shape[0], depth, shape[1]]);
        let term = adds.then(|| inputs[2].spread(shape));
        for (place, sum) in product.iter_mut().enumerate() {
            *sum = alpha * *sum + term.as_ref().map_or(0.0, |term| beta * term.number(place));
        }
        Ok(Values::Numbers(product))
    });
    Ok(planned.with_work(work))
}

fn matrix(site: &Site<'_>, index: usize, turn: bool) -> Result<[Dim; 2], Refusal> {
    let input = site.numbers(index)?;
    match input.dims.as_slice() {
        [first, second] => Ok(if turn { [*second, *first] } else { [*first, *second] }),
        _ => malformed(format!("{} is no matrix", input.describe())),
    }
}

fn turned(matrix: &Tensor, turn: bool) -> std::borrow::Cow<'_, [f64]> {
    if !turn {
        return matrix.as_numbers().into();
    }
    let own = strides(&matrix.shape);
    let Values::Numbers(numbers) =
        matrix.values.pick(&walk(&[matrix.shape[1], matrix.shape[0]], &[own[1], own[0]], 0))
    else {
        return matrix.as_numbers().into();
    };
    numbers.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_product_is_rows_times_columns() {
        // numpy: [[1, 2], [3, 4]] @ [[5, 6], [7, 8]]
        assert_eq!(
            multiply(&[1.0, 2.0, 3.0, 4.0], &[5.0, 6.0, 7.0, 8.0], [2, 2, 2]),
            [19.0, 22.0, 43.0, 50.0]
        );
    }
}
