//! The operators that are scored, by name.
//!
//! Owns the one table of them. It refuses every other operator by name, so that a caller can hand the file to a
//! general runtime instead. Support vector machines, control flow, sequences and maps stay outside on purpose.

mod arithmetic;
mod casting;
mod encoding;
mod linear;
mod movement;
mod picking;
mod preparation;
mod product;
mod reduction;
mod scores;
mod shaping;
pub(super) mod trees;

use super::plan::{Planned, Refusal, Site, unsupported};

/// The domain of the operators of classical machine learning; the other known domain is the empty one.
pub(super) const ML_DOMAIN: &str = "ai.onnx.ml";

/// The versions of the two sets of operators whose meaning is known here.
pub(super) const CORE_VERSIONS: std::ops::RangeInclusive<i64> = 1..=26;
pub(super) const ML_VERSIONS: std::ops::RangeInclusive<i64> = 1..=5;

/// Operators that only move integers, and so may meet the number of rows in a shape.
const MOVERS: &[&str] = &["Identity", "Gather", "Slice", "Concat", "Squeeze", "Unsqueeze", "Reshape"];
/// Operators whose last input is a shape.
const SHAPERS: &[&str] = &["ConstantOfShape", "Reshape", "Expand"];

type Plan = fn(&Site<'_>) -> Result<Planned, Refusal>;

/// Checks a node. Only an operator of [`is_known`] gets here.
pub(super) fn plan(site: &Site<'_>, domain: &str) -> Result<Planned, Refusal> {
    let Some(plan) = find(domain, site.operator) else { return unsupported("an operator that is not known") };
    let shape = site.operands.len().saturating_sub(1);
    let misread = site.operands.iter().enumerate().any(|(index, operand)| {
        operand.counts_rows()
            && !(MOVERS.contains(&site.operator) || SHAPERS.contains(&site.operator) && index == shape)
    });
    if misread {
        return unsupported("arithmetic with the number of rows");
    }
    let planned = plan(site)?.check()?;
    let varies = planned.outputs.iter().any(|output| output.rows_axis().is_some());
    if varies
        && site.operands.iter().enumerate().any(|(index, operand)| operand.counts_rows() && index != shape)
    {
        return unsupported("the number of rows as a value");
    }
    Ok(planned)
}

pub(super) fn is_known(domain: &str, operator: &str) -> bool {
    find(domain, operator).is_some()
}

fn find(domain: &str, operator: &str) -> Option<Plan> {
    match domain {
        ML_DOMAIN => classical(operator),
        "" => core(operator),
        _ => None,
    }
}

fn classical(operator: &str) -> Option<Plan> {
    Some(match operator {
        "ArrayFeatureExtractor" => encoding::extract_features,
        "Binarizer" => preparation::binarizer,
        "CategoryMapper" => encoding::category_mapper,
        "FeatureVectorizer" => preparation::feature_vectorizer,
        "Imputer" => preparation::imputer,
        "LabelEncoder" => encoding::label_encoder,
        "LinearClassifier" => linear::classifier,
        "LinearRegressor" => linear::regressor,
        "Normalizer" => preparation::normalizer,
        "OneHotEncoder" => encoding::one_hot_encoder,
        "Scaler" => preparation::scaler,
        "TreeEnsemble" | "TreeEnsembleClassifier" | "TreeEnsembleRegressor" => trees::plan,
        "ZipMap" => movement::identity,
        _ => return None,
    })
}

fn core(operator: &str) -> Option<Plan> {
    Some(match operator {
        "Abs" | "Ceil" | "Exp" | "Floor" | "LeakyRelu" | "Log" | "Neg" | "Not" | "Reciprocal" | "Relu"
        | "Sigmoid" | "Sign" | "Softplus" | "Sqrt" | "Tanh" | "IsNaN" | "Elu" => arithmetic::unary,
        "Add" | "And" | "Div" | "Equal" | "Greater" | "GreaterOrEqual" | "Less" | "LessOrEqual" | "Mul"
        | "Or" | "Pow" | "Sub" | "Xor" => arithmetic::binary,
        "Max" | "Mean" | "Min" | "Sum" => arithmetic::variadic,
        "ArgMax" | "ArgMin" => reduction::extreme_place,
        "Cast" => casting::cast,
        "Clip" => arithmetic::clip,
        "Concat" => picking::concat,
        "Constant" => shaping::constant,
        "ConstantOfShape" => shaping::constant_of_shape,
        "Dropout" | "Identity" => movement::identity,
        "Expand" => picking::expand,
        "Flatten" => movement::flatten,
        "Gather" => picking::gather,
        "Gemm" => product::gemm,
        "LogSoftmax" | "Softmax" => reduction::softmax,
        "MatMul" => product::matmul,
        "ReduceL1" | "ReduceL2" | "ReduceLogSumExp" | "ReduceMax" | "ReduceMean" | "ReduceMin"
        | "ReduceProd" | "ReduceSum" | "ReduceSumSquare" => reduction::reduce,
        "Reshape" => movement::reshape,
        "Shape" => shaping::shape,
        "Slice" => picking::slice,
        "Split" => picking::split,
        "Squeeze" => movement::squeeze,
        "Tile" => picking::tile,
        "Transpose" => picking::transpose,
        "Unsqueeze" => movement::unsqueeze,
        "Where" => arithmetic::choose,
        _ => return None,
    })
}
