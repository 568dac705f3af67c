//! `Cast`: numbers to other numbers, to text and back.
//!
//! Owns the rounding that the graph asks for: a cast to single precision rounds, and so does one from it, because what
//! leaves single precision is what a tensor of it holds. A text that is no number is refused while scoring, as ONNX
//! Runtime refuses it; an empty text, which is how a missing one enters, is not-a-number instead.

use std::sync::Arc;

use super::super::plan::{Planned, Refusal, Site, malformed, unsupported};
use super::super::tensor::{Element, Values, single};
use super::arithmetic::truth;

/// What not-a-number becomes as an integer, on the processors that ONNX Runtime is used on.
const NO_INTEGER: f64 = i64::MIN as f64;

pub(super) fn cast(site: &Site<'_>) -> Result<Planned, Refusal> {
    let input = site.input(0)?;
    let Some(number) = site.attributes.integer("to") else {
        return malformed("the type that is cast to is missing");
    };
    let Some(to) = Element::from_number(number) else {
        return unsupported(format!("a cast to element type {number}"));
    };
    let from = input.element;
    let output = input.with_element(to);
    Ok(match (from, to) {
        (Element::Text, Element::Text) => Planned::same_values(output),
        (Element::Text, _) => Planned::new(output, move |inputs, _| {
            let numbers =
                inputs[0].as_texts().iter().map(|text| parse(text).map(|number| convert(number, to)));
            Ok(Values::Numbers(numbers.collect::<Result<_, _>>()?))
        }),
        (_, Element::Text) => Planned::new(output, move |inputs, _| {
            Ok(Values::Texts(inputs[0].as_numbers().iter().map(|number| print(*number, from)).collect()))
        }),
        _ => Planned::new(output, move |inputs, _| {
            let held = |number: f64| if from == Element::Float { single(number) } else { number };
            Ok(Values::Numbers(
                inputs[0].as_numbers().iter().map(|number| convert(held(*number), to)).collect(),
            ))
        }),
    })
}

fn convert(number: f64, to: Element) -> f64 {
    match to {
        Element::Float => single(number),
        Element::Integer if number.is_nan() => NO_INTEGER,
        Element::Integer => number.trunc(),
        Element::Boolean => truth(number != 0.0),
        Element::Double | Element::Text => number,
    }
}

fn parse(text: &str) -> Result<f64, String> {
    match text.trim() {
        "" => Ok(f64::NAN),
        text => text.parse().map_err(|_| format!("the text '{text}' is read as a number and is none")),
    }
}

/// As ONNX Runtime prints: eight digits for single precision, seventeen for double, without trailing zeros.
fn print(number: f64, from: Element) -> Arc<str> {
    let digits = match from {
        Element::Integer | Element::Boolean => return format!("{number:.0}").into(),
        Element::Float => 8,
        Element::Double | Element::Text => 17,
    };
    if number.is_nan() {
        return "NaN".into();
    }
    if number.is_infinite() {
        return if number > 0.0 { "INF".into() } else { "-INF".into() };
    }
    general(number, digits).into()
}

/// The `%g` of C.
fn general(number: f64, digits: usize) -> String {
    if number == 0.0 {
        return if number.is_sign_negative() { "-0".into() } else { "0".into() };
    }
    let scientific = format!("{number:.*e}", digits - 1);
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if exponent < -4 || exponent >= digits as i32 {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{}e{sign}{:02}", trimmed(mantissa), exponent.unsigned_abs());
    }
    let decimals = usize::try_from(digits as i32 - 1 - exponent).unwrap_or(0);
    trimmed(&format!("{number:.decimals$}")).to_owned()
}

fn trimmed(number: &str) -> &str {
    if number.contains('.') { number.trim_end_matches('0').trim_end_matches('.') } else { number }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_printed_as_c_prints_them() {
        // Python: '%.8g' % x
        for (number, printed) in
            [(1.0, "1"), (0.1, "0.1"), (1e-5, "1e-05"), (123_456_789.0, "1.2345679e+08"), (-2.5, "-2.5")]
        {
            assert_eq!(general(number, 8), printed);
        }
    }
}
