//! Verbs that look into an endpoint: its log, traffic, drift, disagreements, and a row tried by hand.

use std::fmt::Write as _;

use clap::Args;
use serde_json::{Value, json};

use super::{Server, show};
use crate::client::Client;
use crate::demo::text;
use crate::failure::Failure;
use crate::table::{render, row};

/// Which rows of the log.
#[derive(Debug, Args)]
pub(crate) struct Log {
    /// Endpoint.
    name: String,
    /// First event time, a date or RFC 3339; seven days before the newest event when both are left out.
    #[arg(long)]
    from: Option<String>,
    /// First event time after the window.
    #[arg(long)]
    until: Option<String>,
    /// One unit.
    #[arg(long)]
    unit: Option<String>,
    /// One variant: champion, challenger, holdout, shadow.
    #[arg(long)]
    variant: Option<String>,
    /// One decision.
    #[arg(long)]
    decision: Option<String>,
    /// One model, such as calls@3.
    #[arg(long)]
    model: Option<String>,
    /// Only rows whose model failed (yes), or only the others (no).
    #[arg(long)]
    error: Option<String>,
    /// Least probability.
    #[arg(long)]
    probability_from: Option<String>,
    /// Greatest probability.
    #[arg(long)]
    probability_until: Option<String>,
    /// One prediction with its features, outcomes, worth and mirrors.
    #[arg(long)]
    id: Option<String>,
    /// Where the page before ended, as it says.
    #[arg(long)]
    after: Option<String>,
    /// Rows of a page, at most 100.
    #[arg(long, default_value_t = 20)]
    limit: u32,
    #[command(flatten)]
    server: Server,
}

impl Log {
    pub(crate) async fn run(self, json: bool) -> Result<(), Failure> {
        let client = self.server.client()?;
        let path = format!("/v1/endpoints/{}/predictions", self.name);
        if let Some(id) = &self.id {
            let found = client.get(&format!("{path}/{}", encoded(id))).await?;
            show(json, &found, entry);
            return Ok(());
        }
        let mut query = format!("limit={}", self.limit);
        let filters = [
            ("from", &self.from),
            ("until", &self.until),
            ("unit", &self.unit),
            ("variant", &self.variant),
            ("decision", &self.decision),
            ("model", &self.model),
            ("error", &self.error),
            ("probability_from", &self.probability_from),
            ("probability_until", &self.probability_until),
            ("after", &self.after),
        ];
        for (name, value) in filters {
            if let Some(value) = value {
                let _ = write!(query, "&{name}={}", encoded(value));
            }
        }
        let page = client.get(&format!("{path}?{query}")).await?;
        show(json, &page, rows);
        Ok(())
    }
}

/// Everything but unreserved characters as `%XX` (RFC 3986).
fn encoded(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}

fn rows(page: &Value) -> String {
    let found = page["rows"].as_array().cloned().unwrap_or_default();
    if found.is_empty() {
        return "No prediction in this window fits. Only sealed ones are shown; widen it with --from and --until."
            .to_owned();
    }
    let mut table = vec![row(["at", "id", "unit", "variant", "model", "probability", "decision", "error"])];
    for found in &found {
        let probability = found["probability"].as_f64().map(|p| format!("{p:.4}")).unwrap_or_default();
        table.push(row([
            &text(found, "at"),
            &text(found, "id"),
            &text(found, "unit"),
            &text(found, "variant"),
            &text(found, "model"),
            &probability,
            &text(found, "decision"),
            &text(found, "error"),
        ]));
    }
    let mut out = render(&table);
    if let Some(next) = page["next"].as_str() {
        let _ = writeln!(out, "\n  next page: --after {next}");
    }
    out
}

fn entry(found: &Value) -> String {
    let mut table = vec![row(["what", "value"])];
    for name in
        ["id", "at", "unit", "variant", "model", "release", "probability", "decision", "error", "mirrors"]
    {
        if !found[name].is_null() {
            table.push(row([name, found[name].as_str().unwrap_or(&found[name].to_string())]));
        }
    }
    let pairs = |name: &str| found[name].as_array().cloned().unwrap_or_default();
    for pair in pairs("more").iter().chain(&pairs("features")) {
        let value = pair[1].as_str().map_or_else(|| pair[1].to_string(), str::to_owned);
        table.push(row([pair[0].as_str().unwrap_or_default(), &value]));
    }
    for outcome in pairs("outcomes") {
        table.push(row([&format!("outcome {}", text(&outcome, "name")), &outcome["value"].to_string()]));
    }
    for name in ["value_minor", "earned_minor"] {
        if !found["settled"][name].is_null() {
            table.push(row([&format!("settled {name}"), &found["settled"][name].to_string()]));
        }
    }
    render(&table)
}

/// A row to be tried.
#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// Endpoint.
    name: String,
    /// Features as a JSON object, or @FILE; the newest logged row when left out.
    #[arg(long)]
    row: Option<String>,
    /// A model version such as calls@3 instead of the champion.
    #[arg(long)]
    model: Option<String>,
    /// Orders to sample where the model does not explain itself, 2 to 2048.
    #[arg(long)]
    permutations: Option<u32>,
    /// Seed of the sampled orders.
    #[arg(long)]
    seed: Option<u64>,
    #[command(flatten)]
    server: Server,
}

impl Explain {
    pub(crate) async fn run(self, json: bool) -> Result<(), Failure> {
        let client = self.server.client()?;
        let features = if let Some(given) = &self.row { read(given)? } else { self.newest(&client).await? };
        let mut body = json!({ "row": features });
        for (name, value) in [
            ("model", self.model.map(Value::from)),
            ("permutations", self.permutations.map(Value::from)),
            ("seed", self.seed.map(Value::from)),
        ] {
            if let Some(value) = value {
                body[name] = value;
            }
        }
        let tried = client.post(&format!("/v1/endpoints/{}/explain", self.name), &body).await?;
        show(json, &tried, explained);
        Ok(())
    }
}

impl Explain {
    /// The features of the newest logged row.
    async fn newest(&self, client: &Client) -> Result<Value, Failure> {
        let page = format!("/v1/endpoints/{}/predictions", self.name);
        let newest = client.get(&format!("{page}?limit=1")).await?;
        let id = newest["rows"][0]["id"].as_str().ok_or_else(|| {
            Failure::Input("the log is empty; name a row with --row '{…}' or --row @FILE".to_owned())
        })?;
        let found = client.get(&format!("{page}/{}", encoded(id))).await?;
        let pairs = found["features"].as_array().cloned().unwrap_or_default();
        let named = pairs.iter().filter_map(|pair| Some((pair[0].as_str()?.to_owned(), pair[1].clone())));
        Ok(Value::Object(named.collect()))
    }
}

fn read(given: &str) -> Result<Value, Failure> {
    let wrong = |e: &dyn std::fmt::Display| Failure::Input(format!("--row: {e}"));
    let text = match given.strip_prefix('@') {
        Some(file) => std::fs::read_to_string(file).map_err(|e| wrong(&format!("{file}: {e}")))?,
        None => given.to_owned(),
    };
    serde_json::from_str(&text).map_err(|e| wrong(&e))
}

fn explained(tried: &Value) -> String {
    let why = &tried["explanation"];
    let number = |value: &Value| value.as_f64().unwrap_or_default();
    let mut out = format!(
        "{} says {:.4} for '{}'; decision: {} (the holdout rule: {})\n",
        text(tried, "model"),
        number(&tried["probability"]),
        text(tried, "outcome"),
        text(tried, "decision"),
        text(tried, "holdout_decision")
    );
    for worth in tried["worth"].as_array().into_iter().flatten() {
        let currency: greenlight_domain::money::Currency =
            text(&worth["expected"], "currency").parse().unwrap_or(greenlight_domain::money::Currency::EUR);
        let minor = number(&worth["expected"]["minor"]).round() as i64;
        let amount = greenlight_domain::money::Money::new(minor, currency);
        let _ = writeln!(out, "  {:16} {amount} expected (grade D)", text(worth, "decision"));
    }
    let _ = writeln!(out, "\n{}, in {}", text(why, "method"), text(why, "unit"));
    let mut table = vec![row(["input", "value", "adds", "standard error"])];
    table.push(row(["nothing known", "", &format!("{:+.4}", number(&why["expected"])), ""]));
    for part in why["contributions"].as_array().into_iter().flatten() {
        let value = part["value"].as_str().map_or_else(|| part["value"].to_string(), str::to_owned);
        let error = part["standard_error"].as_f64().map(|e| format!("{e:.4}")).unwrap_or_default();
        table.push(row([
            &text(part, "feature"),
            &value,
            &format!("{:+.4}", number(&part["amount"])),
            &error,
        ]));
    }
    table.push(row(["this row", "", &format!("{:+.4}", number(&why["score"])), ""]));
    out.push_str(&render(&table));
    let sampling = &why["sampling"];
    if !sampling.is_null() {
        let _ = writeln!(
            out,
            "\n  {} orders, seed {}, against {} rows {}",
            sampling["permutations"],
            sampling["seed"],
            sampling["background_rows"],
            text(sampling, "background")
        );
    }
    out
}

/// How much of the log is looked at.
#[derive(Debug, Args)]
pub(crate) struct Extent {
    /// Endpoint.
    name: String,
    /// Days before the newest event.
    #[arg(long, default_value_t = 7)]
    days: u32,
    #[command(flatten)]
    server: Server,
}

impl Extent {
    async fn get(&self, what: &str) -> Result<Value, Failure> {
        let path = format!("/v1/endpoints/{}/{what}?days={}", self.name, self.days);
        self.server.client()?.get(&path).await
    }

    pub(crate) async fn traffic(self, json: bool) -> Result<(), Failure> {
        show(json, &self.get("traffic").await?, |view| {
            let mut table = vec![row(["from", "variant", "predictions", "errors", "p50 µs", "p99 µs"])];
            for bucket in view["buckets"].as_array().into_iter().flatten() {
                let micros = |name: &str| format!("{:.0}", bucket[name].as_f64().unwrap_or_default());
                table.push(row([
                    &text(bucket, "at"),
                    &text(bucket, "variant"),
                    &bucket["predictions"].to_string(),
                    &bucket["errors"].to_string(),
                    &micros("p50_latency_us"),
                    &micros("p99_latency_us"),
                ]));
            }
            render(&table)
        });
        Ok(())
    }

    pub(crate) async fn drift(self, json: bool) -> Result<(), Failure> {
        show(json, &self.get("drift").await?, |view| {
            let mut table = vec![row(["column", "PSI", "by chance up to", "reading"])];
            let features = view["features"].as_array().into_iter().flatten();
            for column in features.chain(Some(&view["score"]).filter(|score| !score.is_null())) {
                let number = |name: &str| format!("{:.3}", column[name].as_f64().unwrap_or_default());
                let cells =
                    [&text(column, "name"), &number("psi"), &number("by_chance"), &text(column, "movement")];
                table.push(row(cells.map(String::as_str)));
            }
            let window = |side: &str| {
                let window = &view[side]["window"];
                format!("{} to {}", text(window, "from"), text(window, "until"))
            };
            if view["reference"].is_null() {
                return format!(
                    "{}\nThe log is too short to compare its first days with its last.",
                    render(&table)
                );
            }
            format!("{}\n  {} against {}", render(&table), window("current"), window("reference"))
        });
        Ok(())
    }

    pub(crate) async fn disagreements(self, json: bool) -> Result<(), Failure> {
        show(json, &self.get("disagreements").await?, |view| {
            let mut table =
                vec![row(["live prediction", "unit", "live", "decides", "shadow", "would decide"])];
            for pair in view["top"].as_array().into_iter().flatten() {
                let probability =
                    |name: &str| pair[name].as_f64().map(|p| format!("{p:.4}")).unwrap_or_default();
                table.push(row([
                    &text(pair, "id"),
                    &text(pair, "unit"),
                    &probability("live_probability"),
                    &text(pair, "live_decision"),
                    &probability("shadow_probability"),
                    &text(pair, "shadow_decision"),
                ]));
            }
            format!(
                "{} of {} decisions differ.\n{}",
                view["decisions_differ"].as_u64().unwrap_or_default(),
                view["compared"].as_u64().unwrap_or_default(),
                render(&table)
            )
        });
        Ok(())
    }
}
