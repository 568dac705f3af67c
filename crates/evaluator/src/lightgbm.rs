//! Reads LightGBM's text format, `model.txt`, versions 3 and 4.
//!
//! Owns the header of the file: its inputs, its objective, its categories. Trees are read in [`tree`]. The source of
//! every rule here is LightGBM 4 itself: `src/boosting/gbdt_model_text.cpp` for the file, `include/LightGBM/tree.h`
//! for the decisions. It refuses trees with linear models in their leaves, and objectives that it does not know.

mod header;
mod tree;

use std::collections::HashMap;

use crate::ensemble::{EnsembleBuilder, Vocabulary};
use crate::evaluator::{Margin, MarginModel};
use crate::link::Link;
use crate::{EvaluatorError, Format};

use header::Header;

pub(crate) const FORMAT: Format = Format::LightGbm;

/// Reads a model.
pub(crate) fn read(bytes: &[u8]) -> Result<MarginModel, EvaluatorError> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        EvaluatorError::malformed(FORMAT, format!("byte {}", error.valid_up_to()), "it is no UTF-8")
    })?;
    let mut lines = text.lines();
    let header = Header::read(&mut lines)?;
    let mut builder = EnsembleBuilder::new(FORMAT, header.names.len(), header.trees_an_iteration)?;
    let mut trees = 0_usize;
    while let Some(block) = tree::Block::next(&mut lines, trees)? {
        let nodes = block.nodes(trees % header.trees_an_iteration)?;
        builder.tree(&nodes)?;
        trees += 1;
    }
    if !trees.is_multiple_of(header.trees_an_iteration) {
        let problem = format!("{trees} trees are no multiple of {} an iteration", header.trees_an_iteration);
        return Err(EvaluatorError::malformed(FORMAT, "trees", problem));
    }
    let vocabularies = vocabularies(lines, header.names.len())?;
    let iterations = if header.average_output { trees / header.trees_an_iteration } else { 1 };
    let ensemble = builder.finish(vec![0.0; header.trees_an_iteration], iterations as f64)?;
    let inputs = header.names.into_iter().zip(vocabularies).collect();
    Ok(MarginModel::new(inputs, Margin::Trees(Box::new(ensemble)), header.link))
}

/// What stands behind the trees: which inputs are categories (`[categorical_feature: 1,2]` of the parameters) and the
/// categories that pandas gave to LightGBM, one list for each of these inputs, in their order.
fn vocabularies<'a>(
    lines: impl Iterator<Item = &'a str>,
    inputs: usize,
) -> Result<Vec<Option<Vocabulary>>, EvaluatorError> {
    let mut categorical = Vec::new();
    let mut lists: Vec<Vec<serde_json::Value>> = Vec::new();
    for line in lines {
        if let Some(places) =
            line.strip_prefix("[categorical_feature:").and_then(|rest| rest.strip_suffix(']'))
        {
            categorical = places.split(',').filter_map(|place| place.trim().parse::<usize>().ok()).collect();
        } else if let Some(json) = line.strip_prefix("pandas_categorical:")
            && json.trim() != "null"
        {
            lists = serde_json::from_str(json).map_err(|error| {
                EvaluatorError::malformed(FORMAT, "line pandas_categorical", error.to_string())
            })?;
        }
    }
    let mut vocabularies: Vec<Option<Vocabulary>> = (0..inputs).map(|_| None).collect();
    if lists.is_empty() {
        return Ok(vocabularies);
    }
    if lists.len() != categorical.len() {
        return Err(EvaluatorError::unsupported(
            FORMAT,
            format!("{} lists of categories for {} categorical inputs", lists.len(), categorical.len()),
            "pandas columns with ordered categories have a list and are no categorical input; send their codes as \
             numbers",
        ));
    }
    for (place, list) in categorical.into_iter().zip(lists) {
        let Some(slot) = vocabularies.get_mut(place) else {
            let problem = format!("input {place} is categorical, and there are {inputs} inputs");
            return Err(EvaluatorError::malformed(FORMAT, "line categorical_feature", problem));
        };
        *slot = Some(vocabulary(&list)?);
    }
    Ok(vocabularies)
}

/// The code of a category is its place in the list.
fn vocabulary(list: &[serde_json::Value]) -> Result<Vocabulary, EvaluatorError> {
    use serde_json::Value;
    let coded = || list.iter().zip(0_u32..).map(|(value, code)| (value, f64::from(code)));
    if list.iter().all(Value::is_string) {
        let texts: HashMap<_, _> =
            coded().filter_map(|(value, code)| Some((value.as_str()?.into(), code))).collect();
        return Ok(Vocabulary::Texts(texts));
    }
    let number =
        |value: &Value| value.as_f64().or_else(|| value.as_bool().map(|truth| f64::from(u8::from(truth))));
    if list.iter().all(|value| number(value).is_some()) {
        let numbers =
            coded().filter_map(|(value, code)| Some(((number(value)? + 0.0).to_bits(), code))).collect();
        return Ok(Vocabulary::Numbers(numbers));
    }
    Err(EvaluatorError::unsupported(
        FORMAT,
        "a list of categories that are neither all texts nor all numbers",
        "give the categories of a column one type before training",
    ))
}

/// `ConvertOutput` of the objective that the header names, with its parameters behind it.
fn link(objective: &str) -> Result<Link, EvaluatorError> {
    let mut words = objective.split_whitespace();
    let name = words.next().unwrap_or_default();
    let mut slope = 1.0;
    let mut is_sqrt = false;
    for word in words {
        match word.split_once(':') {
            Some(("sigmoid", value)) => slope = positive(value)?,
            None if word == "sqrt" => is_sqrt = true,
            _ => {}
        }
    }
    match name {
        "regression" if is_sqrt => Ok(Link::SignedSquare),
        "regression" | "regression_l1" | "huber" | "fair" | "quantile" | "mape" | "lambdarank"
        | "rank_xendcg" | "custom" | "none" | "" => Ok(Link::Identity),
        "poisson" | "gamma" | "tweedie" => Ok(Link::Exponential),
        "binary" | "multiclassova" => Ok(Link::Sigmoid { slope }),
        "cross_entropy" => Ok(Link::Sigmoid { slope: 1.0 }),
        "cross_entropy_lambda" => Ok(Link::Softplus),
        "multiclass" => Ok(Link::Softmax),
        _ => Err(EvaluatorError::unsupported(
            FORMAT,
            format!("the objective `{name}`"),
            "train with an objective of LightGBM 4, or with `none` for raw scores",
        )),
    }
}

fn positive(text: &str) -> Result<f64, EvaluatorError> {
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() && value > 0.0 => Ok(value),
        _ => Err(EvaluatorError::malformed(
            FORMAT,
            "line objective",
            format!("sigmoid `{text}` is not above zero"),
        )),
    }
}
