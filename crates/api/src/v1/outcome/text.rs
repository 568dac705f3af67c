//! Outcomes in JSON, NDJSON and CSV.
//!
//! What is wrong with one line is kept beside it, so that one answer names several; what is wrong with the whole body
//! ends the reading. Refuses columns and fields that it does not know: a mistyped one would be lost in silence.

use csv::{ReaderBuilder, StringRecord};
use greenlight_app::outcome::{MAX_OUTCOMES, Place, PostedOutcome, Sent};
use serde::Deserialize;
use serde_json::value::RawValue;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Outcomes {
    outcomes: Vec<PostedOutcome>,
}

/// `{"outcomes": […]}`, or one outcome.
pub(super) fn from_json(body: &[u8]) -> Result<Vec<Sent>, String> {
    #[derive(Deserialize)]
    struct Peek<'a> {
        #[serde(borrow)]
        outcomes: Option<&'a RawValue>,
    }
    let unreadable = |e: serde_json::Error| format!("Failed to parse the body as JSON: {e}");
    let peek: Peek = serde_json::from_slice(body).map_err(unreadable)?;
    if peek.outcomes.is_none() {
        let one = serde_json::from_slice(body).map_err(unreadable)?;
        return Ok(vec![Sent { place: Place::Body, outcome: Ok(one) }]);
    }
    let Outcomes { outcomes } = serde_json::from_slice(body).map_err(unreadable)?;
    let item = |(index, outcome)| Sent { place: Place::Item(index), outcome: Ok(outcome) };
    Ok(outcomes.into_iter().enumerate().map(item).collect())
}

/// One JSON object a line; empty lines are skipped.
pub(super) fn from_lines(body: &[u8]) -> Result<Vec<Sent>, String> {
    let lines = || body.split(|byte| *byte == b'\n').enumerate().filter(|(_, l)| !l.trim_ascii().is_empty());
    let found = lines().count();
    if found > MAX_OUTCOMES {
        return Err(too_many(found));
    }
    let parse = |(index, line): (usize, &[u8])| Sent {
        place: Place::Line(index as u64 + 1),
        outcome: serde_json::from_slice(line).map_err(|e| e.to_string()),
    };
    Ok(lines().map(parse).collect())
}

/// Where each field stands in a record.
struct Header {
    prediction_id: Option<usize>,
    unit: Option<usize>,
    name: usize,
    value: usize,
    at: usize,
    width: usize,
}

impl Header {
    fn of(record: &StringRecord) -> Result<Self, String> {
        const COLUMNS: [&str; 5] = ["prediction_id", "unit", "name", "value", "at"];
        if let Some(unknown) = record.iter().find(|column| !COLUMNS.contains(column)) {
            let shown: String = unknown.chars().take(60).collect();
            return Err(format!(
                "line 1: column '{shown}' is unknown; begin with a header row of {}",
                COLUMNS.join(", ")
            ));
        }
        let position = |column: &str| record.iter().position(|found| found == column);
        let needed =
            |column: &str| position(column).ok_or_else(|| format!("line 1: column '{column}' is missing"));
        if let Some(twice) = COLUMNS.iter().find(|c| record.iter().filter(|found| found == *c).count() > 1) {
            return Err(format!("line 1: column '{twice}' occurs twice"));
        }
        Ok(Self {
            prediction_id: position("prediction_id"),
            unit: position("unit"),
            name: needed("name")?,
            value: needed("value")?,
            at: needed("at")?,
            width: record.len(),
        })
    }

    fn read(&self, record: &StringRecord) -> Result<PostedOutcome, String> {
        if record.len() != self.width {
            return Err(format!("has {} fields where the header has {}", record.len(), self.width));
        }
        let field = |at: usize| record.get(at).unwrap_or("");
        let optional = |at: Option<usize>| at.map(field).filter(|text| !text.is_empty()).map(str::to_owned);
        let value = field(self.value);
        let number = value.trim().parse();
        Ok(PostedOutcome {
            prediction_id: optional(self.prediction_id),
            unit: optional(self.unit),
            name: field(self.name).to_owned(),
            value: number.map_err(|_| {
                format!("value: '{}' is not a number", value.chars().take(60).collect::<String>())
            })?,
            at: field(self.at).parse().map_err(|e| format!("at: {e}"))?,
        })
    }
}

/// A header row, then one outcome a record.
pub(super) fn from_csv(body: &[u8]) -> Result<Vec<Sent>, String> {
    let mut reader = ReaderBuilder::new().flexible(true).from_reader(body);
    let header = Header::of(reader.headers().map_err(|e| format!("line 1: {e}"))?)?;
    let mut sent = Vec::new();
    let mut records = reader.records();
    while let Some(record) = records.next() {
        if sent.len() == MAX_OUTCOMES {
            return Err(too_many(MAX_OUTCOMES + 1 + records.count()));
        }
        let line = match &record {
            Ok(record) => record.position().map_or(0, csv::Position::line),
            Err(error) => error.position().map_or(0, csv::Position::line),
        };
        let outcome = record.map_err(|e| e.to_string()).and_then(|record| header.read(&record));
        sent.push(Sent { place: Place::Line(line), outcome });
    }
    Ok(sent)
}

fn too_many(found: usize) -> String {
    format!("outcomes: send 1 to {MAX_OUTCOMES} at once, not {found}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "01968e2c-0000-7000-8000-000000000000";

    fn problems(sent: &[Sent]) -> Vec<String> {
        sent.iter().filter_map(|s| Some(format!("{}{}", s.place, s.outcome.as_ref().err()?))).collect()
    }

    #[test]
    fn json_is_one_outcome_or_a_list() {
        let one = format!(r#"{{"prediction_id": "{ID}", "name": "y", "value": 1, "at": "2021-01-03"}}"#);
        assert_eq!(from_json(one.as_bytes()).unwrap()[0].place, Place::Body);
        let list = format!(r#"{{"outcomes": [{one}, {one}]}}"#);
        assert_eq!(from_json(list.as_bytes()).unwrap()[1].place, Place::Item(1));
        assert!(from_json(b"{\"outcomes\": []}").unwrap().is_empty());
        for (bad, hint) in [
            ("{\"outcomes\": [{}]}", "missing field `name`"),
            ("{}", "missing field `name`"),
            ("[1]", "Failed to parse"),
            ("{\"outcomes\": [], \"more\": 1}", "unknown field `more`"),
        ] {
            let error = from_json(bad.as_bytes()).unwrap_err();
            assert!(error.contains(hint), "{bad}: {error}");
        }
    }

    #[test]
    fn lines_are_numbered_as_an_editor_numbers_them() {
        let line = r#"{"unit": "c1", "name": "y", "value": 1, "at": "2021-01-03"}"#;
        let sent = from_lines(format!("{line}\r\n\n{{\n{line}\n").as_bytes()).unwrap();
        assert_eq!(sent.len(), 3);
        let problems = problems(&sent);
        assert!(problems.len() == 1 && problems[0].starts_with("line 3: EOF while parsing"), "{problems:?}");
        let many = "{}\n".repeat(MAX_OUTCOMES + 3);
        assert!(from_lines(many.as_bytes()).unwrap_err().contains("not 10003"));
    }

    #[test]
    fn records_of_csv_keep_their_line_and_their_problem() {
        let text = format!(
            "at,name,unit,prediction_id,value\n2021-01-03,y,\"c \"\"1\"\"\",,1\n2021-01-03,y,,{ID},high\n\
             2021-01-03,y\nsoon,y,c1,,0\n"
        );
        let sent = from_csv(text.as_bytes()).unwrap();
        let first = sent[0].outcome.as_ref().unwrap();
        assert_eq!((first.unit.as_deref(), first.prediction_id.as_deref()), (Some("c \"1\""), None));
        assert_eq!(sent[0].place, Place::Line(2));
        assert_eq!(
            problems(&sent)[..2],
            ["line 3: value: 'high' is not a number", "line 4: has 2 fields where the header has 5"]
        );
        assert!(problems(&sent)[2].starts_with("line 5: at: "), "{:?}", problems(&sent));
        assert!(from_csv(b"id,name,value,at\n").unwrap_err().contains("column 'id' is unknown"));
        assert!(from_csv(b"unit,name,at\n").unwrap_err().contains("column 'value' is missing"));
        assert!(from_csv(b"unit,name,value,at,at\n").unwrap_err().contains("'at' occurs twice"));
        let many = format!("unit,name,value,at\n{}", "c,y,1,2021-01-03\n".repeat(MAX_OUTCOMES + 2));
        assert!(from_csv(many.as_bytes()).unwrap_err().contains("not 10002"));
    }
}
