//! Operators that turn categories into numbers and back, and pick features.
//!
//! Owns the look-up of texts and numbers in vocabularies. A text is equal to the last byte or it is unknown; a number
//! of a single-precision tensor is rounded before it is looked up, and not-a-number is equal to itself.

use std::collections::HashMap;
use std::sync::Arc;

use super::super::attributes::is_exact;
use super::super::plan::{
    Dim, Planned, Refusal, Site, TensorType, concrete, fixed_product, malformed, unsupported,
};
use super::super::tensor::{Element, Tensor, Values, single, walk};
use super::movement::is_constant;
use super::picking;

/// Where each key stands in its list.
enum Keys {
    Texts(HashMap<Arc<str>, usize>),
    Numbers(HashMap<u64, usize>),
}

impl Keys {
    /// Of equal keys the first counts.
    fn new(values: Values) -> Self {
        let mut keys = match &values {
            Values::Texts(_) => Self::Texts(HashMap::new()),
            Values::Numbers(_) => Self::Numbers(HashMap::new()),
        };
        match (&mut keys, values) {
            (Self::Texts(keys), Values::Texts(texts)) => {
                for (place, text) in texts.into_iter().enumerate() {
                    keys.entry(text).or_insert(place);
                }
            }
            (Self::Numbers(keys), Values::Numbers(numbers)) => {
                for (place, number) in numbers.into_iter().enumerate() {
                    keys.entry(bits(number)).or_insert(place);
                }
            }
            _ => {}
        }
        keys
    }

    fn fits(&self, input: &TensorType) -> bool {
        input.is_text() == matches!(self, Self::Texts(_))
    }

    fn memory_bytes(&self) -> usize {
        match self {
            Self::Texts(keys) => {
                keys.capacity() * size_of::<(Arc<str>, usize)>()
                    + keys.keys().map(|key| key.len() + 16).sum::<usize>()
            }
            Self::Numbers(keys) => keys.capacity() * size_of::<(u64, usize)>(),
        }
    }

    /// For each value its place among the keys.
    fn places(&self, input: &Tensor) -> Vec<Option<usize>> {
        match self {
            Self::Texts(keys) => input.as_texts().iter().map(|text| keys.get(text).copied()).collect(),
            Self::Numbers(keys) => {
                let rounds = input.element == Element::Float;
                let number = |number: f64| if rounds { single(number) } else { number };
                input.as_numbers().iter().map(|value| keys.get(&bits(number(*value))).copied()).collect()
            }
        }
    }
}

/// Equal for equal numbers, both zeros among them, and for all that are not a number.
fn bits(number: f64) -> u64 {
    if number.is_nan() { f64::NAN.to_bits() } else { (number + 0.0).to_bits() }
}

fn exact(integers: &[i64]) -> Result<Vec<f64>, Refusal> {
    if integers.iter().any(|integer| !is_exact(*integer as f64)) {
        return unsupported("a category that is an integer beyond 2^53");
    }
    Ok(integers.iter().map(|integer| *integer as f64).collect())
}

/// One side of a mapping: a list of texts, integers or floats, or a tensor.
fn side(site: &Site<'_>, name: &str) -> Result<Option<(Element, Values)>, Refusal> {
    let attributes = site.attributes;
    if let Some(texts) = attributes.texts(&format!("{name}_strings"))? {
        return Ok(Some((Element::Text, Values::Texts(texts))));
    }
    if let Some(integers) = attributes.integers(&format!("{name}_int64s")) {
        return Ok(Some((Element::Integer, Values::Numbers(exact(integers)?))));
    }
    if let Some(floats) = attributes.floats(&format!("{name}_floats")) {
        return Ok(Some((Element::Float, Values::Numbers(floats))));
    }
    Ok(attributes.tensor(&format!("{name}_tensor"))?.map(|tensor| (tensor.element, tensor.values)))
}

pub(super) fn label_encoder(site: &Site<'_>) -> Result<Planned, Refusal> {
    let input = site.input(0)?;
    if site.attributes.has("classes_strings") {
        let classes = site.attributes.texts("classes_strings")?.unwrap_or_default();
        let numbers = (0..classes.len()).map(|place| place as f64).collect();
        return two_way(site, &input, classes, numbers);
    }
    let (Some((_, keys)), Some((element, values))) = (side(site, "keys")?, side(site, "values")?) else {
        return malformed("the keys or the values are missing");
    };
    if keys.len() != values.len() {
        return malformed(format!("{} keys and {} values", keys.len(), values.len()));
    }
    let otherwise = match (site.attributes.tensor("default_tensor")?, element) {
        (Some(tensor), _) if tensor.len() == 1 => tensor.values,
        (Some(_), _) => return malformed("a default that is not one value"),
        (None, Element::Text) => default_text(site)?,
        (None, Element::Integer) => default_integer(site),
        (None, _) => Values::Numbers(vec![site.attributes.float("default_float").unwrap_or(-0.0)]),
    };
    mapping(&input, Keys::new(keys), element, values, otherwise)
}

pub(super) fn category_mapper(site: &Site<'_>) -> Result<Planned, Refusal> {
    let texts = site.attributes.texts("cats_strings")?.unwrap_or_default();
    let numbers = exact(site.attributes.integers("cats_int64s").unwrap_or_default())?;
    two_way(site, &site.input(0)?, texts, numbers)
}

/// From texts to integers or back, by what comes in.
fn two_way(
    site: &Site<'_>,
    input: &TensorType,
    texts: Vec<Arc<str>>,
    numbers: Vec<f64>,
) -> Result<Planned, Refusal> {
    if texts.len() != numbers.len() {
        return malformed(format!("{} texts and {} integers", texts.len(), numbers.len()));
    }
    let (texts, numbers) = (Values::Texts(texts), Values::Numbers(numbers));
    if input.is_text() {
        mapping(input, Keys::new(texts), Element::Integer, numbers, default_integer(site))
    } else {
        mapping(input, Keys::new(numbers), Element::Text, texts, default_text(site)?)
    }
}

fn default_integer(site: &Site<'_>) -> Values {
    Values::Numbers(vec![site.attributes.integer("default_int64").unwrap_or(-1) as f64])
}

fn default_text(site: &Site<'_>) -> Result<Values, Refusal> {
    Ok(Values::Texts(vec![site.attributes.text("default_string")?.unwrap_or("_Unused").into()]))
}

fn mapping(
    input: &TensorType,
    keys: Keys,
    element: Element,
    mut values: Values,
    otherwise: Values,
) -> Result<Planned, Refusal> {
    if !keys.fits(input) {
        return malformed(format!("keys of another kind than {}", input.describe()));
    }
    let unknown = values.len();
    match (&mut values, otherwise) {
        (Values::Texts(values), Values::Texts(otherwise)) => values.extend(otherwise),
        (Values::Numbers(values), Values::Numbers(otherwise)) => values.extend(otherwise),
        _ => return malformed("a default of another kind than the values"),
    }
    let bytes = keys.memory_bytes() + values.len() * size_of::<Arc<str>>();
    let planned = Planned::new(input.with_element(element), move |inputs, _| {
        let places: Vec<usize> =
            keys.places(inputs[0]).iter().map(|place| place.unwrap_or(unknown)).collect();
        Ok(values.pick(&places))
    });
    Ok(planned.with_memory(bytes))
}

/// Adds an axis with a one at the place of the category.
pub(super) fn one_hot_encoder(site: &Site<'_>) -> Result<Planned, Refusal> {
    let input = site.input(0)?;
    let categories = match site.attributes.texts("cats_strings")? {
        Some(texts) => Values::Texts(texts),
        None => Values::Numbers(exact(site.attributes.integers("cats_int64s").unwrap_or_default())?),
    };
    let width = categories.len();
    let keys = Keys::new(categories);
    if width == 0 || !keys.fits(&input) {
        return malformed(format!("categories of another kind than {}", input.describe()));
    }
    let zeros = site.attributes.integer("zeros").unwrap_or(1) != 0;
    let truncates = matches!(input.element, Element::Float | Element::Double);
    let output =
        TensorType { element: Element::Float, dims: [&input.dims[..], &[Dim::Fixed(width)]].concat() };
    let bytes = keys.memory_bytes();
    let planned = Planned::new(output, move |inputs, _| {
        let places = if truncates {
            let whole = inputs[0].as_numbers().iter().map(|number| number.trunc()).collect();
            keys.places(&Tensor::numbers(Element::Integer, inputs[0].shape.clone(), whole))
        } else {
            keys.places(inputs[0])
        };
        let mut numbers = vec![0.0; places.len() * width];
        for (ones, place) in numbers.chunks_exact_mut(width).zip(&places) {
            match place {
                Some(place) => ones[*place] = 1.0,
                None if zeros => {}
                None => {
                    return Err(
                        "a category is unknown, and the model was exported to refuse those".to_owned()
                    );
                }
            }
        }
        Ok(Values::Numbers(numbers))
    });
    Ok(planned.with_memory(bytes))
}

/// `ArrayFeatureExtractor`: picks along the last axis.
pub(super) fn extract_features(site: &Site<'_>) -> Result<Planned, Refusal> {
    let (input, indices) = (site.input(0)?, site.numbers(1)?);
    if !is_constant(site, 0) && !is_constant(site, 1) {
        return unsupported("features and places that both depend on the request");
    }
    let picked = match (indices.rows_axis(), fixed_product(&indices.dims)) {
        (Some(_), Some(1)) => Dim::Rows,
        (None, Some(places)) => Dim::Fixed(places),
        _ => return unsupported(format!("features picked by {}", indices.describe())),
    };
    let Some((Dim::Fixed(extent), leading)) = input.dims.split_last() else {
        return unsupported("features picked among rows");
    };
    let extent = *extent;
    // A list counts as one row of features.
    let leading = if leading.is_empty() { vec![Dim::Fixed(1)] } else { leading.to_vec() };
    let output = input.with_dims([&leading[..], &[picked]].concat());
    let rows_lead = leading.clone();
    Ok(Planned::new(output, move |inputs, shape| {
        let positions = picking::positions(inputs[1].as_numbers(), extent)?;
        let outer: usize = concrete(&rows_lead, shape[0]).iter().product();
        let starts = walk(&[outer], &[extent], 0);
        let places: Vec<usize> =
            starts.iter().flat_map(|start| positions.iter().map(move |position| start + position)).collect();
        Ok(inputs[0].values.pick(&places))
    }))
}
