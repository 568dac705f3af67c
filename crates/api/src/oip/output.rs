//! The outputs of every endpoint, as JSON and as bytes.

use greenlight_domain::prediction::Prediction;
use greenlight_serving::Answer;

use super::error::OipError;
use super::tensor::shown;

/// An output of every endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Output {
    PredictionId,
    Probability,
    Decision,
    Variant,
    Propensity,
}

/// All outputs, in the order in which they are sent.
pub(crate) const OUTPUTS: [Output; 5] =
    [Output::PredictionId, Output::Probability, Output::Decision, Output::Variant, Output::Propensity];

impl Output {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::PredictionId => "prediction_id",
            Self::Probability => "probability",
            Self::Decision => "decision",
            Self::Variant => "variant",
            Self::Propensity => "propensity",
        }
    }

    pub(crate) fn datatype(self) -> &'static str {
        if self.number().is_some() { "FP64" } else { "BYTES" }
    }

    /// The output of that name.
    pub(crate) fn find(name: &str) -> Result<Self, OipError> {
        OUTPUTS.into_iter().find(|output| output.name() == name).ok_or_else(|| {
            let names: Vec<&str> = OUTPUTS.iter().map(|output| output.name()).collect();
            OipError::invalid(format!("output '{}' is unknown; there are {}", shown(name), names.join(", ")))
        })
    }

    /// How a number is read from a prediction; `None` for text.
    pub(crate) fn number(self) -> Option<fn(&Prediction) -> f64> {
        match self {
            Self::Probability => Some(|p| p.probability),
            Self::Propensity => Some(|p| p.propensity),
            _ => None,
        }
    }

    /// Hands the text of a prediction to `take`.
    pub(crate) fn text<T>(self, prediction: &Prediction, take: impl FnOnce(&str) -> T) -> T {
        match self {
            Self::PredictionId => take(prediction.id.0.hyphenated().encode_lower(&mut [0; 36])),
            Self::Variant => take(prediction.variant.as_str()),
            _ => take(&prediction.decision),
        }
    }

    /// Appends its values as a JSON array. JSON has no NaN: null says that no model decided.
    fn push_json(self, answer: &Answer, json: &mut Vec<u8>) -> serde_json::Result<()> {
        let number = self.number();
        for (row, prediction) in answer.batch.predictions.iter().enumerate() {
            json.push(if row == 0 { b'[' } else { b',' });
            match number {
                Some(number) => serde_json::to_writer(&mut *json, &number(prediction))?,
                None => self.text(prediction, |text| serde_json::to_writer(&mut *json, text))?,
            }
        }
        json.push(b']');
        Ok(())
    }

    /// Appends its values as the binary extension has them.
    pub(crate) fn push_bytes(self, answer: &Answer, bytes: &mut Vec<u8>) {
        let number = self.number();
        for prediction in &answer.batch.predictions {
            match number {
                Some(number) => bytes.extend_from_slice(&number(prediction).to_le_bytes()),
                None => self.text(prediction, |text| {
                    bytes.extend_from_slice(&(text.len() as u32).to_le_bytes());
                    bytes.extend_from_slice(text.as_bytes());
                }),
            }
        }
    }
}

/// An output with the way in which the client wants it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted {
    pub(crate) output: Output,
    pub(crate) binary: bool,
}

/// A response: JSON, and after it the bytes of the outputs that are wanted in binary.
pub(crate) struct Body {
    pub(crate) bytes: Vec<u8>,
    /// Length of the JSON, when something follows it.
    pub(crate) header: Option<usize>,
}

/// Writes the response to a request.
pub(crate) fn write(
    endpoint: &str,
    id: Option<&str>,
    answer: &Answer,
    wanted: &[Wanted],
) -> serde_json::Result<Body> {
    let rows = answer.batch.predictions.len();
    let mut json = Vec::with_capacity(320 + wanted.len() * rows * 40);
    let mut tail = Vec::new();
    json.extend_from_slice(b"{\"model_name\":");
    serde_json::to_writer(&mut json, endpoint)?;
    if let Some(model) = &answer.model {
        json.extend_from_slice(b",\"model_version\":");
        serde_json::to_writer(&mut json, model.as_ref())?;
    }
    if let Some(id) = id {
        json.extend_from_slice(b",\"id\":");
        serde_json::to_writer(&mut json, id)?;
    }
    json.extend_from_slice(b",\"outputs\":[");
    for (at, Wanted { output, binary }) in wanted.iter().enumerate() {
        if at > 0 {
            json.push(b',');
        }
        for part in ["{\"name\":\"", output.name(), "\",\"datatype\":\"", output.datatype(), "\",\"shape\":["]
        {
            json.extend_from_slice(part.as_bytes());
        }
        serde_json::to_writer(&mut json, &rows)?;
        if *binary {
            let start = tail.len();
            output.push_bytes(answer, &mut tail);
            json.extend_from_slice(b"],\"parameters\":{\"binary_data_size\":");
            serde_json::to_writer(&mut json, &(tail.len() - start))?;
            json.extend_from_slice(b"}}");
        } else {
            json.extend_from_slice(b"],\"data\":");
            output.push_json(answer, &mut json)?;
            json.push(b'}');
        }
    }
    json.extend_from_slice(b"]}");
    let header = (!tail.is_empty()).then_some(json.len());
    json.append(&mut tail);
    Ok(Body { bytes: json, header })
}
