//! The lines before the first tree.
//!
//! Owns what they promise: names, objective, how many trees an iteration adds. It refuses versions other than 3 and 4,
//! because earlier ones decide missing categories in another way.

use crate::EvaluatorError;
use crate::link::Link;

use super::FORMAT;

#[derive(Debug)]
pub(super) struct Header {
    pub(super) names: Vec<String>,
    pub(super) trees_an_iteration: usize,
    pub(super) average_output: bool,
    pub(super) link: Link,
}

impl Header {
    /// Reads up to and with the line `tree_sizes`, which is the last.
    pub(super) fn read<'a>(lines: &mut impl Iterator<Item = &'a str>) -> Result<Self, EvaluatorError> {
        let mut names: Option<Vec<String>> = None;
        let mut trees_an_iteration = None;
        let mut largest_input = None;
        let mut average_output = false;
        let mut link = None;
        let mut version = None;
        for line in lines {
            let (key, value) = line.split_once('=').unwrap_or((line.trim(), ""));
            match key {
                "version" => version = Some(value),
                "num_tree_per_iteration" => trees_an_iteration = Some(count(key, value)?),
                "max_feature_idx" => largest_input = Some(count(key, value)?),
                "average_output" => average_output = true,
                "objective" => link = Some(super::link(value)?),
                "feature_names" => names = Some(value.split_whitespace().map(str::to_owned).collect()),
                "tree_sizes" => break,
                "end of trees" => return Err(malformed("the line tree_sizes is not there")),
                _ => {}
            }
        }
        if !matches!(version, Some("v3" | "v4")) {
            return Err(EvaluatorError::unsupported(
                FORMAT,
                format!("version `{}` of the file", version.unwrap_or("unnamed")),
                "save the model with LightGBM 3 or 4",
            ));
        }
        let names = names.ok_or_else(|| malformed("the line feature_names is not there"))?;
        let trees_an_iteration =
            trees_an_iteration.ok_or_else(|| malformed("the line num_tree_per_iteration is not there"))?;
        if trees_an_iteration == 0
            || largest_input.and_then(|last: usize| last.checked_add(1)) != Some(names.len())
        {
            return Err(malformed(
                "max_feature_idx, feature_names and num_tree_per_iteration do not fit together",
            ));
        }
        Ok(Self { names, trees_an_iteration, average_output, link: link.unwrap_or(Link::Identity) })
    }
}

fn count(key: &str, value: &str) -> Result<usize, EvaluatorError> {
    value.trim().parse().map_err(|_| malformed(&format!("{key} is `{value}` and not a count")))
}

fn malformed(problem: &str) -> EvaluatorError {
    EvaluatorError::malformed(FORMAT, "header", problem)
}
