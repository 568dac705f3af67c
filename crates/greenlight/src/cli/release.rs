//! `greenlight release …`.

use std::fmt::Write as _;

use clap::{Args, Subcommand};
use greenlight_domain::money::{Currency, Money};
use serde_json::{Value, json};

use super::{Server, show};
use crate::demo::text;
use crate::failure::Failure;
use crate::table::{render, row};

/// A release and the server that knows it.
#[derive(Debug, Args)]
pub(crate) struct One {
    /// Id of the release, such as term-deposit-calls.1.
    id: String,
    #[command(flatten)]
    server: Server,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Release {
    /// Submit a model version for an endpoint; the gates before traffic run at once.
    Submit {
        /// Endpoint.
        #[arg(long)]
        endpoint: String,
        /// Model version, such as calls-boosted@1, or a version of the registry, such as models:/churn@champion.
        #[arg(long)]
        model: String,
        #[command(flatten)]
        server: Server,
    },
    /// List releases, newest first.
    List {
        /// Only those of this endpoint.
        #[arg(long)]
        endpoint: Option<String>,
        #[command(flatten)]
        server: Server,
    },
    /// Show a release with its evidence and approvals.
    Show(One),
    /// Let it score beside live traffic.
    Shadow(One),
    /// Run the shadow gate on what it did so far.
    Judge(One),
    /// Approve it.
    Approve {
        #[command(flatten)]
        one: One,
        /// Why.
        #[arg(long, default_value = "")]
        comment: String,
    },
    /// Reject it. This ends the release.
    Reject {
        #[command(flatten)]
        one: One,
        /// Why.
        #[arg(long)]
        comment: String,
    },
    /// Give it its first share of traffic.
    Rollout(One),
    /// Compare it with the live champion on a part of its traffic, or change that part.
    Challenge {
        #[command(flatten)]
        one: One,
        /// Percent of all units, out of the champion's share.
        #[arg(long)]
        percent: u8,
    },
    /// Look at its rollout now: advance, hold or roll back.
    Look(One),
    /// Read its A/B test against the holdout: effect, checks of health, verdict. Reading often is safe.
    AbTest(One),
    /// Take it back.
    Rollback {
        #[command(flatten)]
        one: One,
        /// Why.
        #[arg(long)]
        reason: String,
    },
}

impl Release {
    pub(crate) async fn run(self, json: bool) -> Result<(), Failure> {
        let nothing = json!({});
        match self {
            Self::Submit { endpoint, model, server } => {
                let body = json!({ "endpoint": endpoint, "model": model });
                let view = server.client()?.post("/v1/releases", &body).await?;
                show(json, &view, describe);
                Ok(())
            }
            Self::List { endpoint, server } => {
                let query = endpoint.map(|e| format!("?endpoint={e}")).unwrap_or_default();
                let releases = server.client()?.get(&format!("/v1/releases{query}")).await?;
                show(json, &releases, table);
                Ok(())
            }
            Self::Show(one) => {
                let view = one.server.client()?.get(&format!("/v1/releases/{}", one.id)).await?;
                show(json, &view, describe);
                Ok(())
            }
            Self::Shadow(one) => one.post("shadow", &nothing, json, describe).await,
            Self::Judge(one) => one.post("shadow/judge", &nothing, json, describe).await,
            Self::Approve { one, comment } => {
                one.post("decisions", &json!({ "approved": true, "comment": comment }), json, describe).await
            }
            Self::Reject { one, comment } => {
                one.post("decisions", &json!({ "approved": false, "comment": comment }), json, describe).await
            }
            Self::Rollout(one) => one.post("rollout", &nothing, json, describe).await,
            Self::Challenge { one, percent } => {
                one.post("challenge", &json!({ "percent": percent }), json, describe).await
            }
            Self::Look(one) => {
                one.post("rollout/look", &nothing, json, |v| {
                    format!(
                        "{} at {} %: {}",
                        text(v, "action").replace('_', " "),
                        v["percent"],
                        text(v, "reason")
                    )
                })
                .await
            }
            Self::AbTest(one) => {
                let path = format!("/v1/releases/{}/ab-test", one.id);
                show(json, &one.server.client()?.get(&path).await?, ab_test);
                Ok(())
            }
            Self::Rollback { one, reason } => {
                one.post("rollback", &json!({ "reason": reason }), json, describe).await
            }
        }
    }
}

impl One {
    async fn post(
        self,
        path: &str,
        body: &Value,
        json: bool,
        human: impl FnOnce(&Value) -> String,
    ) -> Result<(), Failure> {
        let value = self.server.client()?.post(&format!("/v1/releases/{}/{path}", self.id), body).await?;
        show(json, &value, human);
        Ok(())
    }
}

fn table(releases: &Value) -> String {
    let releases = releases.as_array().cloned().unwrap_or_default();
    if releases.is_empty() {
        return "No releases yet. Next: greenlight release submit --endpoint NAME --model NAME@1".to_owned();
    }
    let mut rows = vec![row(["release", "model", "stage", "author", "reason"])];
    for release in &releases {
        let model = format!("{}@{}", text(release, "model"), release["model_version"]);
        let reason: String = text(release, "reason").chars().take(80).collect();
        let stage = text(release, "stage").replace('_', " ");
        rows.push(row([&text(release, "id"), &model, &stage, &text(release, "author"), &reason]));
    }
    render(&rows)
}

/// A release as a checklist.
fn describe(release: &Value) -> String {
    let mut out = format!(
        "{}: {}@{} is {}\n",
        text(release, "id"),
        text(release, "model"),
        release["model_version"],
        text(release, "stage").replace('_', " ")
    );
    if let Some(reason) = release["reason"].as_str() {
        let _ = writeln!(out, "  {reason}");
    }
    for evidence in release["evidence"].as_array().into_iter().flatten() {
        let _ = writeln!(out, "\n  {} gate: {}", text(evidence, "gate"), mark(evidence));
        for check in evidence["checks"].as_array().into_iter().flatten() {
            let _ =
                writeln!(out, "    {} {}: {}", mark(check), text(check, "requirement"), text(check, "found"));
        }
    }
    let needed = release["policy_spec"]["approvals"]["count"].as_u64().unwrap_or_default();
    let approvals = release["approvals"].as_array().cloned().unwrap_or_default();
    let _ = writeln!(
        out,
        "\n  approvals: {} of {needed}",
        approvals.iter().filter(|a| a["approved"] == true).count()
    );
    for approval in &approvals {
        let verdict = if approval["approved"] == true { "approved" } else { "rejected" };
        let _ = writeln!(out, "    {} {verdict}: {}", text(approval, "actor"), text(approval, "comment"));
    }
    out
}

/// A test as its verdict, its arms and its checks.
fn ab_test(test: &Value) -> String {
    let verdict = text(test, "verdict").replace('_', " ");
    let mut out = format!(
        "{} against the holdout ({}): {verdict}\n  {}\n",
        text(test, "model"),
        text(test, "holdout"),
        text(test, "reason")
    );
    let currency: Currency = text(test, "currency").parse().unwrap_or(Currency::EUR);
    let money = |minor: &Value| {
        minor
            .as_f64()
            .map_or_else(String::new, |minor| Money::new(minor.round() as i64, currency).to_string())
    };
    let _ = writeln!(out, "\n{}", render(&differences(test, &money)));
    let mut arms = vec![row(["arm", "units", "positive", "errors", "money a unit"])];
    for arm in [&test["treatment"], &test["control"]] {
        let number = |name: &str| arm[name].to_string();
        let cells = [
            text(arm, "variant"),
            number("units"),
            number("positives"),
            number("errors"),
            money(&arm["mean_minor"]),
        ];
        arms.push(row([&cells[0], &cells[1], &cells[2], &cells[3], &cells[4]]));
    }
    let _ = writeln!(out, "{}", render(&arms));
    for check in test["checks"].as_array().into_iter().flatten() {
        let _ = writeln!(out, "  {} {}: {}", mark(check), text(check, "name"), text(check, "detail"));
    }
    out
}

/// How a figure is written.
type Shown<'a> = &'a dyn Fn(&Value) -> String;

/// A line a difference: of money by propensity and plain, relative, and of positive outcomes.
fn differences(test: &Value, money: Shown<'_>) -> Vec<Vec<String>> {
    let hundredths = |value: &Value, unit: &str| {
        value.as_f64().map_or_else(String::new, |share| format!("{:.2} {unit}", share * 100.0))
    };
    let (share, points) =
        (|value: &Value| hundredths(value, "%"), |value: &Value| hundredths(value, "points"));
    let p = |value: &Value| match value.as_f64() {
        None => String::new(),
        Some(p) if p < 0.0001 => "< 0.0001".to_owned(),
        Some(p) => format!("{p:.4}"),
    };
    let once: [(&str, &str, Shown<'_>); 3] = [
        ("money, plain means", "money_once", money),
        ("money, relative", "relative_once", &share),
        ("positive outcomes", "positives_once", &points),
    ];
    let mut lines = vec![("money, by propensity", &test["effect"], &test["p_value"], "any time", money)];
    for (name, field, shown) in once {
        lines.push((name, &test[field]["difference"], &test[field]["p_value"], "once", shown));
    }
    let mut table = vec![row(["a unit", "difference", "low", "high", "p", "may be looked at"])];
    for (name, of, p_value, when, shown) in lines.into_iter().filter(|line| !line.1.is_null()) {
        let [estimate, low, high] = ["estimate", "low", "high"].map(|end| shown(&of[end]));
        table.push(row([name, &estimate, &low, &high, &p(p_value), when]));
    }
    table
}

fn mark(value: &Value) -> &'static str {
    if value["passed"] == true { "✔" } else { "✘" }
}
