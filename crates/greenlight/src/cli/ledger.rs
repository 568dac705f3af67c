//! The ledger: what an endpoint earned, and whether that is what comes out of its raw events.

use std::fmt::Write as _;

use clap::{Args, Subcommand};
use greenlight_domain::money::{Currency, Money};
use greenlight_domain::time::Micros;
use serde_json::Value;

use super::posting::Export;
use super::{Server, show};
use crate::demo::{report, text};
use crate::failure::Failure;
use crate::table::{render, row};

#[derive(Debug, Subcommand)]
pub(crate) enum Ledger {
    /// What an endpoint earned, with grades, intervals, maturity and forecast.
    Show {
        endpoint: String,
        #[command(flatten)]
        server: Server,
    },
    Verify(Verify),
    Restate(RestateVerb),
    Export(Export),
    /// The versions of an initiative's value model: what each counts, what decides, and what was restated.
    Versions {
        /// Initiative.
        initiative: String,
        #[command(flatten)]
        server: Server,
    },
}

/// Compute days anew from the raw events and compare them with what is booked, to the cent.
///
/// Nothing is changed. The exit code is 2 when anything differs.
#[derive(Debug, Args)]
pub(crate) struct Verify {
    endpoint: String,
    /// First day, such as 2026-03-01; the first one with a booking when left out.
    #[arg(long)]
    from: Option<String>,
    /// The day after the last; the last settled one when left out.
    #[arg(long)]
    until: Option<String>,
    #[command(flatten)]
    server: Server,
}

/// Value what is settled by the newest version of the value model, and post the differences.
///
/// What was posted stays as it is. Days that no longer have their predictions cannot be restated.
#[derive(Debug, Args)]
pub(crate) struct RestateVerb {
    endpoint: String,
    /// Why, for those who read the ledger later.
    #[arg(long)]
    reason: String,
    /// First day, such as 2026-03-01; the first settled one when left out.
    #[arg(long)]
    from: Option<String>,
    /// The day after the last; everything that is settled when left out.
    #[arg(long)]
    until: Option<String>,
    /// Only say what it would change.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    server: Server,
}

impl Ledger {
    pub(crate) async fn run(self, json: bool) -> Result<(), Failure> {
        match self {
            Self::Show { endpoint, server } => show_endpoint(&endpoint, &server, json).await,
            Self::Verify(verb) => verb.run(json).await,
            Self::Restate(verb) => verb.run(json).await,
            Self::Export(verb) => verb.run(json).await,
            Self::Versions { initiative, server } => {
                let path = format!("/v1/initiatives/{initiative}/value-versions");
                let found = server.client()?.get(&path).await?;
                show(json, &found, versions);
                Ok(())
            }
        }
    }
}

async fn show_endpoint(endpoint: &str, server: &Server, json: bool) -> Result<(), Failure> {
    let client = server.client()?;
    let ledger = client.get(&format!("/v1/endpoints/{endpoint}/ledger")).await?;
    if json {
        println!("{ledger}");
        return Ok(());
    }
    let releases = client.get(&format!("/v1/releases?endpoint={endpoint}")).await?;
    let newest = releases.as_array().and_then(|r| r.iter().find(|r| r["stage"] != "stopped")).cloned();
    println!("{}", report::ledger(&ledger, &newest.unwrap_or_default()));
    Ok(())
}

impl Verify {
    async fn run(self, json: bool) -> Result<(), Failure> {
        let mut query = Vec::new();
        for (name, day) in [("from", &self.from), ("until", &self.until)] {
            if let Some(day) = parsed_day(name, day.as_deref())? {
                query.push(format!("{name}={}", day.date()));
            }
        }
        let path = format!("/v1/endpoints/{}/ledger/verification?{}", self.endpoint, query.join("&"));
        let found = self.server.client()?.get(&path).await?;
        show(json, &found, verification);
        if found["differences_count"] == 0 {
            return Ok(());
        }
        Err(Failure::Partly("the ledger is not what comes out of the raw events"))
    }
}

fn parsed_day(name: &str, day: Option<&str>) -> Result<Option<Micros>, Failure> {
    let parsed = day.map(str::parse).transpose();
    parsed.map_err(|e| Failure::Input(format!("--{name}: {e}")))
}

impl RestateVerb {
    async fn run(self, json: bool) -> Result<(), Failure> {
        let request = serde_json::json!({
            "from": parsed_day("from", self.from.as_deref())?,
            "until": parsed_day("until", self.until.as_deref())?,
            "reason": self.reason,
            "dry_run": self.dry_run,
        });
        let path = format!("/v1/endpoints/{}/ledger/restatements", self.endpoint);
        let found = self.server.client()?.post(&path, &request).await?;
        show(json, &found, restated);
        Ok(())
    }
}

fn money_of(found: &Value) -> impl Fn(&str) -> Money {
    let currency: Currency = text(found, "currency").parse().unwrap_or(Currency::EUR);
    move |name| Money::new(found[name].as_i64().unwrap_or_default(), currency)
}

fn day_of(found: &Value, name: &str) -> String {
    text(found, name).get(..10).unwrap_or("").to_owned()
}

fn restated(found: &Value) -> String {
    let amount = money_of(found);
    let (did, ending) = match found["settle_run"].as_i64() {
        Some(run) => {
            ("valued", format!("Run {run} posted the differences; what was posted before stays as it is."))
        }
        None => (
            "would be valued",
            "Nothing was written; leave --dry-run out to post the differences.".to_owned(),
        ),
    };
    format!(
        "{} predictions from {} to before {} {did} by version {} of the value model.\n\
         {}\n{ending}",
        found["predictions"],
        day_of(found, "from"),
        day_of(found, "until"),
        found["version"],
        render(&[
            row(["", "before", "after"]),
            row([
                "gross",
                &amount("gross_before_minor").to_string(),
                &amount("gross_after_minor").to_string(),
            ]),
            row([
                "incremental (grade A)",
                &amount("incremental_before_minor").to_string(),
                &amount("incremental_after_minor").to_string(),
            ]),
        ]),
    )
}

fn versions(found: &Value) -> String {
    let mut out = String::new();
    for version in found["versions"].as_array().into_iter().flatten() {
        let by = match text(version, "created_by").as_str() {
            "" => String::new(),
            by => format!(", applied by {by} on {}", day_of(version, "created_at")),
        };
        let _ = writeln!(out, "version {}{by}", version["version"]);
        let _ = writeln!(out, "  {}", version["spec"]["expression"].as_str().unwrap_or_default().trim());
    }
    for endpoint in found["endpoints"].as_array().into_iter().flatten() {
        let _ = writeln!(
            out,
            "\n{}: the champion decides by version {}",
            text(endpoint, "endpoint"),
            endpoint["decides_by"]
        );
        for period in endpoint["periods"].as_array().into_iter().flatten() {
            let from = match day_of(period, "from").as_str() {
                "1970-01-01" => "the beginning".to_owned(),
                day => day.to_owned(),
            };
            let _ = writeln!(out, "  version {} counts from {from}", period["version"]);
        }
        for one in endpoint["restatements"].as_array().into_iter().flatten() {
            let _ = writeln!(
                out,
                "  run {} restated {} to before {} by version {}: {}",
                one["settle_run"],
                day_of(one, "from"),
                day_of(one, "until"),
                one["version"],
                text(one, "reason")
            );
        }
    }
    out.trim_end().to_owned()
}

fn verification(found: &Value) -> String {
    let amount = money_of(found);
    let mut out = format!(
        "{} days from {} to before {}, {} predictions valued again.\n  gross        {}\n  incremental  {}  (grade {})",
        found["days"],
        day_of(found, "from"),
        day_of(found, "until"),
        found["predictions"],
        amount("gross_minor"),
        amount("incremental_minor"),
        text(found, "grade"),
    );
    if let Some(erased @ 1..) = found["erased_days"].as_u64() {
        let _ = write!(out, "\n  not checked  {erased} days of which something was erased");
    }
    let differences = found["differences"].as_array().map(Vec::as_slice).unwrap_or_default();
    if differences.is_empty() {
        return out + "\nThe ledger agrees with the raw events to the cent.";
    }
    let mut table = vec![row(["day", "release", "variant", "figure", "booked", "recomputed"])];
    for difference in differences {
        table.push(row([
            &text(difference, "day"),
            &text(difference, "release"),
            &text(difference, "variant"),
            &text(difference, "what"),
            &difference["booked"].to_string(),
            &difference["recomputed"].to_string(),
        ]));
    }
    let _ = write!(out, "\n\n{}\n{} figures differ.", render(&table), found["differences_count"]);
    out
}
