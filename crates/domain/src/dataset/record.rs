//! A data set version as an artifact: where its content lies, what is in it, and who answers for it.

use serde::{Deserialize, Serialize};

use super::profile::{Content, Profile};
use crate::DomainError;
use crate::time::Micros;

/// Formats that content may have.
pub const FORMATS: [&str; 4] = ["parquet", "csv", "arrow", "delta"];

/// Everything about a version but its contract.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DatasetRecord {
    /// Where the content lies: a URI of its owner's, or a path of this server for what was uploaded.
    pub source: String,
    /// One of [`FORMATS`].
    pub format: String,
    /// SHA-256 of the uploaded file; empty for what stays where it is.
    #[serde(default)]
    pub sha256: String,
    /// Who answers for it.
    pub owner: String,
    /// The initiative that it was made for; empty for none.
    #[serde(default)]
    pub initiative: String,
    /// Id of the run that wrote it; empty when no run here did.
    #[serde(default)]
    pub run_id: String,
    /// Column of event times; empty for none.
    #[serde(default)]
    pub time_column: String,
    /// First and last event time.
    #[serde(default)]
    pub time_range: Option<(Micros, Micros)>,
    /// What is in it.
    pub profile: Profile,
}

impl DatasetRecord {
    /// Fills in the range of event times from the profile.
    pub fn with_time_range(mut self) -> Result<Self, DomainError> {
        if self.time_column.is_empty() {
            return Ok(self);
        }
        let name = &self.time_column;
        let column = self.profile.column(name).ok_or_else(|| {
            let known: Vec<&str> = self.profile.columns.iter().map(|c| c.name.as_str()).collect();
            DomainError::invalid("time_column", format!("'{name}' is none of {}", known.join(", ")))
        })?;
        if column.content == Content::Text {
            let problem = format!("'{name}' holds text, not dates, timestamps or epoch microseconds");
            return Err(DomainError::invalid("time_column", problem));
        }
        self.time_range = column.spread.as_ref().map(|s| (Micros(s.min as i64), Micros(s.max as i64)));
        Ok(self)
    }
}

/// A place in one spelling, by which uses of the same data find each other: plain paths become `file://`, the schemes of
/// Hadoop's S3 clients `s3://`, what a URL has behind `?` goes, and a URL of a version's own content becomes its path.
///
/// Worked example: `https://models.example/v1/datasets/bank/versions/2/content?x=1` is `/v1/datasets/bank/versions/2/content`.
pub fn place(uri: &str) -> String {
    let uri = uri.trim();
    if let Some(at) = uri.find("/v1/datasets/") {
        let path = uri[at..].split(['?', '#']).next().unwrap_or_default();
        if path.ends_with("/content") && (at == 0 || uri.starts_with("http")) {
            return path.to_owned();
        }
    }
    if uri.starts_with('/') {
        return format!("file://{uri}");
    }
    match uri.split_once(':') {
        Some(("file", path)) => format!("file:///{}", path.trim_start_matches('/')),
        Some(("s3a" | "s3n", rest)) => format!("s3:{rest}"),
        Some(("http" | "https", _)) => uri.split(['?', '#']).next().unwrap_or_default().to_owned(),
        _ => uri.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_has_one_spelling() {
        for (given, expected) in [
            ("/data/a.parquet", "file:///data/a.parquet"),
            ("file:/data/a.parquet", "file:///data/a.parquet"),
            ("file:///data/a.parquet", "file:///data/a.parquet"),
            ("s3a://bucket/a", "s3://bucket/a"),
            ("https://host/a.csv?token=1", "https://host/a.csv"),
            (
                "http://127.0.0.1:1/v1/datasets/bank/versions/2/content?x",
                "/v1/datasets/bank/versions/2/content",
            ),
            ("/v1/datasets/bank/versions/2/content", "/v1/datasets/bank/versions/2/content"),
            ("", ""),
        ] {
            assert_eq!(place(given), expected, "{given}");
        }
    }
}
