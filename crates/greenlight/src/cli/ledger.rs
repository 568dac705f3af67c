//! The ledger: what an endpoint earned, and whether that is what comes out of its raw events.

use std::fmt::Write as _;

use clap::{Args, Subcommand};
use greenlight_domain::money::{Currency, Money};
use serde_json::Value;

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

impl Ledger {
    pub(crate) async fn run(self, json: bool) -> Result<(), Failure> {
        match self {
            Self::Show { endpoint, server } => show_endpoint(&endpoint, &server, json).await,
            Self::Verify(verb) => verb.run(json).await,
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
            if let Some(day) = day {
                let day: greenlight_domain::time::Micros =
                    day.parse().map_err(|e| Failure::Input(format!("--{name}: {e}")))?;
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

fn verification(found: &Value) -> String {
    let currency: Currency = text(found, "currency").parse().unwrap_or(Currency::EUR);
    let amount = |name: &str| Money::new(found[name].as_i64().unwrap_or_default(), currency);
    let day = |name: &str| text(found, name).get(..10).unwrap_or("").to_owned();
    let mut out = format!(
        "{} days from {} to before {}, {} predictions valued again.\n  gross        {}\n  incremental  {}  (grade {})",
        found["days"],
        day("from"),
        day("until"),
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
