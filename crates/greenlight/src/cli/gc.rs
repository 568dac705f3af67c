//! `greenlight gc`: removing for good what was deleted long ago.

use std::fmt::Write as _;
use std::io::{IsTerminal, Write};

use clap::Args;
use serde_json::{Value, json};

use super::{Server, show};
use crate::client::Client;
use crate::demo::text;
use crate::failure::Failure;

/// Most collections of one call: each takes a thousand runs.
const MOST_COLLECTIONS: usize = 10_000;
/// Most lines of a list.
const MOST_LINES: usize = 20;
/// What a collection counts, in the words of its answer and in those of people.
const COUNTS: [(&str, &str, &str); 6] = [
    ("runs", "run", "runs"),
    ("logged_models", "logged model", "logged models"),
    ("experiments", "experiment", "experiments"),
    ("registered_versions", "registered version", "registered versions"),
    ("datasets", "logged data set", "logged data sets"),
    ("rows", "row of metrics, parameters and tags", "rows of metrics, parameters and tags"),
];

#[derive(Debug, Args)]
pub(crate) struct Gc {
    /// What was deleted at least so long ago, such as 30d or 12h.
    #[arg(long, value_name = "AGE", default_value = "30d", value_parser = hours)]
    older_than: u32,
    /// Only say what would go.
    #[arg(long)]
    dry_run: bool,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    server: Server,
}

impl Gc {
    pub(crate) async fn run(self, json: bool) -> Result<(), Failure> {
        let client = self.server.client()?;
        if self.dry_run {
            show(json, &self.collect(&client, true).await?, described);
            return Ok(());
        }
        if !self.yes {
            if !std::io::stdin().is_terminal() {
                let hint = "this deletes for good; add --yes where nobody can be asked, or --dry-run to look";
                return Err(Failure::Input(hint.to_owned()));
            }
            if !confirmed(&described(&self.collect(&client, true).await?))? {
                return Err(Failure::Input("nothing was removed".to_owned()));
            }
        }
        let mut done = self.collect(&client, false).await?;
        for _ in 1..MOST_COLLECTIONS {
            if done["more"] != json!(true) {
                break;
            }
            let next = self.collect(&client, false).await?;
            done = sum(&done, next);
        }
        show(json, &done, described);
        Ok(())
    }

    async fn collect(&self, client: &Client, dry_run: bool) -> Result<Value, Failure> {
        let body = json!({ "older_than_hours": self.older_than, "dry_run": dry_run });
        client.post("/v1/garbage-collections", &body).await
    }
}

/// Two collections as one: what stays is what the second one says.
fn sum(first: &Value, mut second: Value) -> Value {
    for (field, _, _) in COUNTS {
        let both = first[field].as_u64().unwrap_or(0) + second[field].as_u64().unwrap_or(0);
        second[field] = json!(both);
    }
    for list in ["gone", "files_left"] {
        let lists = [&first[list], &second[list]].into_iter().filter_map(Value::as_array);
        let both: Vec<Value> = lists.flatten().take(1_000).cloned().collect();
        second[list] = json!(both);
    }
    second
}

/// Hours of `30d` or `12h`.
pub(crate) fn hours(text: &str) -> Result<u32, String> {
    let wrong = || format!("'{text}' is not an age such as 30d or 12h");
    let (number, hours) = match text.strip_suffix('d') {
        Some(days) => (days, 24_u32),
        None => (text.strip_suffix('h').ok_or_else(wrong)?, 1),
    };
    number.parse::<u32>().ok().and_then(|number| number.checked_mul(hours)).ok_or_else(wrong)
}

fn described(done: &Value) -> String {
    let would = done["dry_run"] == json!(true);
    let counts: Vec<String> = COUNTS
        .into_iter()
        .filter_map(|(field, one, many)| {
            let count = done[field].as_u64().filter(|count| *count > 0)?;
            Some(format!("{count} {}", if count == 1 { one } else { many }))
        })
        .collect();
    let mut out = match (counts.is_empty(), would) {
        (true, _) => format!("Nothing to remove that was deleted before {}.", text(done, "before")),
        (false, true) => format!("Would remove {}.", counts.join(", ")),
        (false, false) => format!("Removed {}.", counts.join(", ")),
    };
    if would {
        list(&mut out, &done["gone"], None, |one| format!("{} {}", text(one, "what"), text(one, "name")));
    }
    let kept = done["kept_count"].as_u64().unwrap_or(0);
    if kept > 0 {
        let _ = write!(out, "\nDeleted, and kept because something refers to it ({kept}):");
        list(&mut out, &done["kept"], Some(kept), |one| {
            format!("{} {}: {}", text(one, "what"), text(one, "name"), text(one, "because"))
        });
    }
    if done["files_left"].as_array().is_some_and(|left| !left.is_empty()) {
        out.push_str("\nFiles that this server does not reach, for you to remove:");
        list(&mut out, &done["files_left"], None, |one| one.as_str().unwrap_or_default().to_owned());
    }
    out
}

/// The beginning of a list, and how much more there is.
fn list(out: &mut String, all: &Value, count: Option<u64>, line: impl Fn(&Value) -> String) {
    let all = all.as_array().map(Vec::as_slice).unwrap_or_default();
    for one in all.iter().take(MOST_LINES) {
        let _ = write!(out, "\n  {}", line(one));
    }
    let rest = count.unwrap_or(all.len() as u64).saturating_sub(all.len().min(MOST_LINES) as u64);
    if rest > 0 {
        let _ = write!(out, "\n  and {rest} more; --json lists up to 1,000");
    }
}

fn confirmed(would: &str) -> Result<bool, Failure> {
    let mut out = std::io::stderr();
    write!(out, "{would}\nRemove this for good? [y/N] ")?;
    out.flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_days_or_hours() {
        assert_eq!((hours("30d"), hours("12h"), hours("0d")), (Ok(720), Ok(12), Ok(0)));
        for wrong in ["", "30", "d", "-1d", "1.5h", "1w", "4294967295d"] {
            assert!(hours(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_went_is_summed_and_what_stays_is_said_once() {
        let kept = json!([{ "what": "run", "name": "a", "because": "it made the model version m@1" }]);
        let done = json!({ "dry_run": false, "before": "2022-01-01T00:00:00Z", "runs": 1, "rows": 7,
            "gone": [{ "what": "run", "name": "b" }], "kept": kept, "kept_count": 1, "files_left": [],
            "more": true });
        let both = sum(&done, done.clone());
        assert_eq!(
            described(&both),
            "Removed 2 runs, 14 rows of metrics, parameters and tags.\n\
             Deleted, and kept because something refers to it (1):\n  run a: it made the model version m@1"
        );
        let nothing = json!({ "dry_run": true, "before": "2022-01-01T00:00:00Z" });
        assert_eq!(described(&nothing), "Nothing to remove that was deleted before 2022-01-01T00:00:00Z.");
    }
}
