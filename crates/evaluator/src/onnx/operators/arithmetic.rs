//! Operators that work value by value.
//!
//! Owns the formulas of `ai.onnx` for one, two or more tensors. Comparisons of single-precision tensors compare the
//! nearest single-precision numbers, because there the rounding decides; everything else stays a double.

use super::super::plan::{Planned, Refusal, Site, TensorType, broadcast, malformed, unsupported};
use super::super::tensor::{Element, Spread, Values, count, single};

type One = fn(f64) -> f64;
type Two = fn(f64, f64) -> f64;

pub(super) fn unary(site: &Site<'_>) -> Result<Planned, Refusal> {
    let input = site.numbers(0)?;
    let formula: One = match site.operator {
        "Abs" => f64::abs,
        "Ceil" => f64::ceil,
        "Exp" => f64::exp,
        "Floor" => f64::floor,
        "IsNaN" => |value| truth(value.is_nan()),
        "Log" => f64::ln,
        "Neg" => |value| -value,
        "Not" => |value| truth(value == 0.0),
        "Reciprocal" => f64::recip,
        "Relu" => |value| if value < 0.0 { 0.0 } else { value },
        "Sigmoid" => logistic,
        "Sign" => |value| if value == 0.0 || value.is_nan() { value } else { value.signum() },
        "Softplus" => |value| value.max(0.0) + (-value.abs()).exp().ln_1p(),
        "Sqrt" => f64::sqrt,
        "Tanh" => f64::tanh,
        "Elu" | "LeakyRelu" => return Ok(leaking(site, input)),
        other => return unsupported(format!("the operator {other}")),
    };
    let element = if matches!(site.operator, "IsNaN" | "Not") { Element::Boolean } else { input.element };
    Ok(Planned::new(input.with_element(element), move |inputs, _| {
        Ok(Values::Numbers(inputs[0].as_numbers().iter().copied().map(formula).collect()))
    }))
}

fn leaking(site: &Site<'_>, input: TensorType) -> Planned {
    let exponential = site.operator == "Elu";
    let slope = site.attributes.float("alpha").unwrap_or(if exponential { 1.0 } else { f64::from(0.01_f32) });
    Planned::new(input, move |inputs, _| {
        let below = |value: f64| slope * if exponential { value.exp_m1() } else { value };
        let numbers = inputs[0].as_numbers().iter();
        Ok(Values::Numbers(numbers.map(|value| if *value < 0.0 { below(*value) } else { *value }).collect()))
    })
}

pub(super) fn binary(site: &Site<'_>) -> Result<Planned, Refusal> {
    if site.attributes.has("broadcast") {
        return unsupported("the broadcasting of operator sets before version 7");
    }
    let (left, right) = (site.input(0)?, site.input(1)?);
    let dims = broadcast(&left.dims, &right.dims)?;
    if left.is_text() && right.is_text() && site.operator == "Equal" {
        let output = TensorType { element: Element::Boolean, dims };
        return Ok(Planned::new(output, |inputs, shape| {
            let (left, right) = (inputs[0].spread(shape), inputs[1].spread(shape));
            let equal = |place| truth(left.text(place) == right.text(place));
            Ok(Values::Numbers((0..count(shape).unwrap_or(0)).map(equal).collect()))
        }));
    }
    site.numbers(0)?;
    site.numbers(1)?;
    let whole = left.element == Element::Integer && right.element == Element::Integer;
    let formula: Two = match site.operator {
        "Add" => |left, right| left + right,
        "Sub" => |left, right| left - right,
        "Mul" => |left, right| left * right,
        // Division of integers by zero is undefined; a number keeps it apart from the count of rows in a shape.
        "Div" if whole => |left, right| if right == 0.0 { 0.0 } else { (left / right).trunc() },
        "Div" => |left, right| left / right,
        "Pow" => f64::powf,
        "And" => |left, right| truth(left != 0.0 && right != 0.0),
        "Or" => |left, right| truth(left != 0.0 || right != 0.0),
        "Xor" => |left, right| truth((left != 0.0) != (right != 0.0)),
        "Equal" => |left, right| truth(left == right),
        "Greater" => |left, right| truth(left > right),
        "GreaterOrEqual" => |left, right| truth(left >= right),
        "Less" => |left, right| truth(left < right),
        "LessOrEqual" => |left, right| truth(left <= right),
        other => return unsupported(format!("the operator {other}")),
    };
    let computes = matches!(site.operator, "Add" | "Sub" | "Mul" | "Div" | "Pow");
    let rounds = !computes && left.element == Element::Float;
    let element = if computes { left.element } else { Element::Boolean };
    Ok(Planned::new(TensorType { element, dims }, move |inputs, shape| {
        let (left, right) = (inputs[0].spread(shape), inputs[1].spread(shape));
        let read = |spread: &Spread<'_>, place| {
            let number = spread.number(place);
            if rounds { single(number) } else { number }
        };
        let numbers =
            (0..count(shape).unwrap_or(0)).map(|place| formula(read(&left, place), read(&right, place)));
        Ok(Values::Numbers(numbers.collect()))
    }))
}

pub(super) fn variadic(site: &Site<'_>) -> Result<Planned, Refusal> {
    let first = site.numbers(0)?;
    let mut dims = first.dims.clone();
    for index in 1..site.operands.len() {
        dims = broadcast(&dims, &site.numbers(index)?.dims)?;
    }
    // Not-a-number stays, as in ONNX Runtime.
    let formula: Two = match site.operator {
        "Max" => |left, right| if left.is_nan() || left > right { left } else { right },
        "Min" => |left, right| if left.is_nan() || left < right { left } else { right },
        _ => |left, right| left + right,
    };
    let divisor = if site.operator == "Mean" { site.operands.len() as f64 } else { 1.0 };
    Ok(Planned::new(TensorType { element: first.element, dims }, move |inputs, shape| {
        let spreads: Vec<Spread<'_>> = inputs.iter().map(|input| input.spread(shape)).collect();
        let numbers = (0..count(shape).unwrap_or(0)).map(|place| {
            let all = spreads.iter().map(|spread| spread.number(place));
            all.reduce(formula).unwrap_or(f64::NAN) / divisor
        });
        Ok(Values::Numbers(numbers.collect()))
    }))
}

/// Bounds are attributes up to version 10 and inputs after.
pub(super) fn clip(site: &Site<'_>) -> Result<Planned, Refusal> {
    let input = site.numbers(0)?;
    let bound = |name: &str, index: usize, otherwise: f64| -> Result<f64, Refusal> {
        if let Some(bound) = site.attributes.float(name) {
            return Ok(bound);
        }
        match site.constant(index)? {
            None => Ok(otherwise),
            Some(tensor) => match tensor.as_numbers() {
                [bound] => Ok(*bound),
                _ => malformed("a bound that is not one number"),
            },
        }
    };
    let (low, high) = (bound("min", 1, f64::NEG_INFINITY)?, bound("max", 2, f64::INFINITY)?);
    Ok(Planned::new(input, move |inputs, _| {
        let clip = |value: &f64| if value.is_nan() { *value } else { value.max(low).min(high) };
        Ok(Values::Numbers(inputs[0].as_numbers().iter().map(clip).collect()))
    }))
}

/// `Where`: the second input where the first is true, the third elsewhere.
pub(super) fn choose(site: &Site<'_>) -> Result<Planned, Refusal> {
    let (condition, yes, no) = (site.numbers(0)?, site.input(1)?, site.input(2)?);
    let dims = broadcast(&broadcast(&condition.dims, &yes.dims)?, &no.dims)?;
    if yes.is_text() != no.is_text() {
        return malformed("a choice between text and numbers");
    }
    let text = yes.is_text();
    Ok(Planned::new(TensorType { element: yes.element, dims }, move |inputs, shape| {
        let spreads = (inputs[0].spread(shape), inputs[1].spread(shape), inputs[2].spread(shape));
        let chosen = |place| if spreads.0.number(place) == 0.0 { &spreads.2 } else { &spreads.1 };
        let places = 0..count(shape).unwrap_or(0);
        Ok(if text {
            Values::Texts(places.map(|place| chosen(place).text(place)).collect())
        } else {
            Values::Numbers(places.map(|place| chosen(place).number(place)).collect())
        })
    }))
}

pub(super) const fn truth(yes: bool) -> f64 {
    if yes { 1.0 } else { 0.0 }
}

/// 1 / (1 + e^-x), without overflow on either side.
pub(super) fn logistic(value: f64) -> f64 {
    if value < 0.0 {
        let exponential = value.exp();
        exponential / (1.0 + exponential)
    } else {
        1.0 / (1.0 + (-value).exp())
    }
}
