//! Reads XGBoost models as JSON or UBJSON, versions 1.6 to 3.
//!
//! Owns what both share: the document in [`document`], from which the ensemble is built here and in [`tree`]. The
//! encodings are `json` and [`ubj`]. The source of every rule is XGBoost itself: `src/tree/io_utils.h` and the JSON
//! schema of its documentation for the file, `src/predictor/predict_fn.h` for the decisions. It refuses trees with
//! several values a leaf, and objectives that it does not know.

mod categories;
mod document;
mod json;
mod tree;
mod ubj;

pub(crate) use json::read_json;
pub(crate) use ubj::read_ubj;

use crate::ensemble::{Ensemble, EnsembleBuilder, INPUTS_LIMIT, OUTPUTS_LIMIT, Vocabulary};
use crate::evaluator::{Margin, MarginModel};
use crate::linear::Linear;
use crate::link::Link;
use crate::{EvaluatorError, Format};

use document::{Booster, Document, Learner, Model};

/// Builds the model that a document describes.
fn build(document: Document, format: Format) -> Result<MarginModel, EvaluatorError> {
    let Learner { feature_names, gradient_booster, sizes, objective } = document.learner;
    let inputs = count(format, "num_feature", &sizes.num_feature, INPUTS_LIMIT)?;
    let classes = count(format, "num_class", &sizes.num_class, OUTPUTS_LIMIT)?;
    let targets = count(format, "num_target", &sizes.num_target, OUTPUTS_LIMIT)?;
    let outputs = classes.max(targets).max(1);
    let (link, to_margin) = link(format, &objective.name)?;
    let base = base(format, &sizes.base_score, outputs, to_margin)?;
    let (model, weight_drop) = unwrap_booster(format, gradient_booster)?;
    let names = names(format, feature_names, inputs)?;
    if model.trees.is_none() {
        let weights = model.weights.into_iter().map(|weight| f64::from(weight as f32)).collect();
        let linear = Linear::new(format, weights, inputs, &base)?;
        let inputs = names.into_iter().map(|name| (name, None)).collect();
        return Ok(MarginModel::new(inputs, Margin::Linear(linear), link));
    }
    let vocabularies = match &model.cats {
        Some(cats) => categories::vocabularies(format, cats, inputs)?,
        None => (0..inputs).map(|_| None).collect(),
    };
    let margin = Margin::Trees(Box::new(trees(format, model, &weight_drop, inputs, base)?));
    let inputs: Vec<(String, Option<Vocabulary>)> = names.into_iter().zip(vocabularies).collect();
    Ok(MarginModel::new(inputs, margin, link))
}

fn trees(
    format: Format,
    model: Model,
    weight_drop: &[f64],
    inputs: usize,
    base: Vec<f64>,
) -> Result<Ensemble, EvaluatorError> {
    let trees = model.trees.unwrap_or_default();
    if model.tree_info.len() != trees.len() || !(weight_drop.is_empty() || weight_drop.len() == trees.len()) {
        let problem = format!(
            "{} trees have {} entries of tree_info and {} of weight_drop",
            trees.len(),
            model.tree_info.len(),
            weight_drop.len()
        );
        return Err(EvaluatorError::malformed(format, "trees", problem));
    }
    let mut builder = EnsembleBuilder::new(format, inputs, base.len())?;
    for (place, (tree, output)) in trees.iter().zip(&model.tree_info).enumerate() {
        let weight = weight_drop.get(place).copied().unwrap_or(1.0);
        let output = usize::try_from(*output).unwrap_or(usize::MAX);
        builder.tree(&tree::nodes(format, tree, place, output, weight)?)?;
    }
    builder.finish(base, 1.0)
}

/// The model inside a booster, and the weights of its trees if it is DART.
fn unwrap_booster(format: Format, booster: Booster) -> Result<(Model, Vec<f64>), EvaluatorError> {
    let Booster { name, model, gbtree, weight_drop } = booster;
    let model = match name.as_str() {
        "gbtree" | "gblinear" => model,
        "dart" => gbtree.and_then(|inner| inner.model),
        _ => {
            let feature = format!("the booster `{name}`");
            return Err(EvaluatorError::unsupported(format, feature, "train with gbtree, dart or gblinear"));
        }
    };
    let model =
        model.ok_or_else(|| EvaluatorError::malformed(format, "gradient_booster", "it has no model"))?;
    if (name == "gblinear") == model.trees.is_some() {
        let problem = format!("the booster `{name}` has the content of another");
        return Err(EvaluatorError::malformed(format, "gradient_booster", problem));
    }
    Ok((model, weight_drop))
}

/// The names of the inputs; XGBoost calls them `f0`, `f1`, ... when training data had none.
fn names(format: Format, names: Vec<String>, inputs: usize) -> Result<Vec<String>, EvaluatorError> {
    if names.is_empty() {
        return Ok((0..inputs).map(|input| format!("f{input}")).collect());
    }
    if names.len() != inputs {
        let problem = format!("{} names for {inputs} features", names.len());
        return Err(EvaluatorError::malformed(format, "feature_names", problem));
    }
    Ok(names)
}

fn count(format: Format, name: &'static str, text: &str, limit: usize) -> Result<usize, EvaluatorError> {
    let found: u64 = text
        .trim()
        .parse()
        .map_err(|_| EvaluatorError::malformed(format, name, format!("`{text}` is not a count")))?;
    match usize::try_from(found) {
        Ok(count) if count <= limit => Ok(count),
        _ => Err(EvaluatorError::TooLarge { format, what: name, found, limit: limit as u64 }),
    }
}

/// How an objective turns a base score into a margin (`ProbToMargin`).
#[derive(Clone, Copy)]
enum ToMargin {
    Identity,
    Logit,
    Logarithm,
}

fn link(format: Format, objective: &str) -> Result<(Link, ToMargin), EvaluatorError> {
    Ok(match objective {
        "reg:squarederror"
        | "reg:linear"
        | "reg:squaredlogerror"
        | "reg:absoluteerror"
        | "reg:pseudohubererror"
        | "reg:quantileerror"
        | "rank:pairwise"
        | "rank:ndcg"
        | "rank:map"
        | "binary:logitraw" => (Link::Identity, ToMargin::Identity),
        "binary:logistic" | "reg:logistic" => (Link::Sigmoid { slope: 1.0 }, ToMargin::Logit),
        "binary:hinge" => (Link::Step, ToMargin::Identity),
        "count:poisson" | "reg:gamma" | "reg:tweedie" | "survival:cox" | "survival:aft" => {
            (Link::Exponential, ToMargin::Logarithm)
        }
        "multi:softprob" => (Link::Softmax, ToMargin::Identity),
        "multi:softmax" => (Link::Class, ToMargin::Identity),
        _ => {
            let feature = format!("the objective `{objective}`");
            return Err(EvaluatorError::unsupported(
                format,
                feature,
                "train with an objective of XGBoost itself",
            ));
        }
    })
}

/// The margins that a row starts from. Files before version 3.1 hold one number, later ones a list of one or one an
/// output.
fn base(format: Format, text: &str, outputs: usize, to_margin: ToMargin) -> Result<Vec<f64>, EvaluatorError> {
    let malformed = |problem: String| EvaluatorError::malformed(format, "base_score", problem);
    let list = text.trim().trim_start_matches('[').trim_end_matches(']');
    let mut base = Vec::new();
    for word in list.split(',').take(OUTPUTS_LIMIT + 1) {
        let score: f32 = word.trim().parse().map_err(|_| malformed(format!("`{word}` is not a number")))?;
        let score = f64::from(score);
        let margin = match to_margin {
            ToMargin::Identity => score,
            ToMargin::Logit => -(1.0 / score - 1.0).ln(),
            ToMargin::Logarithm => score.ln(),
        };
        if !margin.is_finite() {
            return Err(malformed(format!("{score} has no margin")));
        }
        base.push(margin);
    }
    match base.as_slice() {
        [one] => Ok(vec![*one; outputs]),
        _ if base.len() == outputs => Ok(base),
        _ => Err(malformed(format!("{} numbers for {outputs} outputs", base.len()))),
    }
}
