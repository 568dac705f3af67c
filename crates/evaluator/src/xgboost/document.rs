//! The document of a model: the fields that decide a score, whatever the encoding.
//!
//! Owns the shape. Fields that are not named here are skipped. It refuses to check; whoever reads a field does.

use std::fmt;

use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};

#[derive(Debug, Deserialize)]
pub(super) struct Document {
    pub(super) learner: Learner,
}

#[derive(Debug, Deserialize)]
pub(super) struct Learner {
    #[serde(default)]
    pub(super) feature_names: Vec<String>,
    pub(super) gradient_booster: Booster,
    #[serde(rename = "learner_model_param")]
    pub(super) sizes: Sizes,
    pub(super) objective: Objective,
}

#[derive(Debug, Deserialize)]
pub(super) struct Sizes {
    pub(super) base_score: String,
    pub(super) num_class: String,
    pub(super) num_feature: String,
    #[serde(default = "one")]
    pub(super) num_target: String,
}

fn one() -> String {
    "1".to_owned()
}

#[derive(Debug, Deserialize)]
pub(super) struct Objective {
    pub(super) name: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Booster {
    pub(super) name: String,
    pub(super) model: Option<Model>,
    /// Of DART, whose trees lie one level deeper.
    pub(super) gbtree: Option<Inner>,
    #[serde(default)]
    pub(super) weight_drop: Vec<f64>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Inner {
    pub(super) model: Option<Model>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Model {
    pub(super) trees: Option<Vec<Tree>>,
    #[serde(default)]
    pub(super) tree_info: Vec<i64>,
    /// Of `gblinear`.
    #[serde(default)]
    pub(super) weights: Vec<f64>,
    /// Since version 3.1: the categories that training data named.
    pub(super) cats: Option<Categories>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Categories {
    pub(super) enc: Vec<Encoding>,
}

/// The categories of one input: numbers, or texts as bytes one after the other, cut at `offsets`.
#[derive(Debug, Deserialize)]
pub(super) struct Encoding {
    #[serde(default)]
    pub(super) offsets: Vec<i64>,
    #[serde(default)]
    pub(super) values: Vec<f64>,
    /// The type of the numbers; texts have none.
    #[serde(rename = "type")]
    pub(super) number_type: Option<i64>,
}

/// A tree, one entry a node in each array.
#[derive(Debug, Deserialize)]
pub(super) struct Tree {
    pub(super) left_children: Vec<i64>,
    pub(super) right_children: Vec<i64>,
    pub(super) split_indices: Vec<i64>,
    /// Thresholds of splits, values of leaves.
    pub(super) split_conditions: Vec<Number>,
    pub(super) default_left: Vec<Flag>,
    #[serde(default)]
    pub(super) split_type: Vec<i64>,
    #[serde(default)]
    pub(super) sum_hessian: Vec<f64>,
    #[serde(default)]
    pub(super) categories: Vec<i64>,
    #[serde(default)]
    pub(super) categories_nodes: Vec<i64>,
    #[serde(default)]
    pub(super) categories_segments: Vec<i64>,
    #[serde(default)]
    pub(super) categories_sizes: Vec<i64>,
    #[serde(rename = "tree_param")]
    pub(super) sizes: TreeSizes,
}

#[derive(Debug, Deserialize)]
pub(super) struct TreeSizes {
    #[serde(default = "one")]
    pub(super) size_leaf_vector: String,
}

/// A number, or not-a-number, for which JSON has `null`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Number(pub(super) f64);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Option::<f64>::deserialize(deserializer).map(|number| Self(number.unwrap_or(f64::NAN)))
    }
}

/// A truth, which versions write as `true` or as `1`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flag(pub(super) bool);

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FlagVisitor)
    }
}

struct FlagVisitor;

impl Visitor<'_> for FlagVisitor {
    type Value = Flag;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("true, false, 1 or 0")
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Flag, E> {
        Ok(Flag(value))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Flag, E> {
        Ok(Flag(value != 0))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Flag, E> {
        Ok(Flag(value != 0))
    }
}
