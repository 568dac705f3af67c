//! The table that the demo and `greenlight ledger show` end with.

use std::fmt::Write as _;

use greenlight_domain::money::{Currency, whole};
use greenlight_domain::time::Micros;
use serde_json::Value;

use super::text;
use crate::table::{render, row};

/// The ledger as a table, with grades, intervals, maturity and the forecast.
pub(crate) fn ledger(ledger: &Value, release: &Value) -> String {
    let currency: Currency = text(ledger, "currency").parse().unwrap_or(Currency::EUR);
    let mut rows = vec![row(["", "amount", "interval", "grade", "how it is known"])];
    rows.push(figure(currency, "Gross value", &ledger["gross"], "counted on live traffic"));
    for variant in ledger["variants"].as_array().into_iter().flatten() {
        let units = variant["units"].as_i64().unwrap_or_default();
        let name = format!("  {} ({units} calls decided)", text(variant, "variant"));
        rows.push(figure(currency, &name, &variant["gross"], ""));
    }
    let level = ledger["level"].as_f64().unwrap_or_default() * 100.0;
    let method = format!("against the holdout, randomised; {level:.0} % confidence sequence");
    rows.push(figure(currency, "Incremental value", &ledger["incremental"], &method));
    if let Some(days) = ledger["run_rate"]["days"].as_u64() {
        let how = format!("a year at the pace of the last {days} matured days; interval for one look");
        rows.push(figure(currency, "Run rate (ARR)", &ledger["run_rate"]["annual"], &how));
    }
    rows.push(figure(currency, "Cost", &ledger["cost"], "as the initiative states it"));
    rows.push(figure(currency, "Net of cost", &ledger["net"], "incremental less cost"));
    if let Some(point) = ledger["forecast"].as_array().and_then(|points| points.last()) {
        rows.push(forecast(currency, point));
    }
    let mut out = String::from("\n6. What it earned\n\n");
    out.push_str(&render(&rows));
    let (matured, all) = (number(ledger, "matured"), number(ledger, "predictions"));
    let share = if all > 0.0 { matured / all * 100.0 } else { 0.0 };
    let _ = writeln!(
        out,
        "\n  Maturity: {matured:.0} of {all:.0} predictions ({share:.1} %), settled until {}",
        &text(ledger, "settled_until").get(..10).unwrap_or("never")
    );
    let _ = write!(out, "  Release {}: {}", text(release, "id"), text(release, "stage").replace('_', " "));
    if let Some(reason) = release["reason"].as_str() {
        let _ = write!(out, " ({reason})");
    }
    out.push_str("\n  Assumed, not observed:\n");
    for assumption in ledger["assumptions"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        let _ = writeln!(out, "    · {assumption}");
    }
    out
}

fn figure(currency: Currency, name: &str, figure: &Value, how: &str) -> Vec<String> {
    let Some(minor) = figure["minor"].as_f64() else {
        return row([name, "nothing randomised yet", "", "", how]);
    };
    let interval = match (figure["low_minor"].as_f64(), figure["high_minor"].as_f64()) {
        (Some(low), Some(high)) => format!("{} to {}", whole(low, currency), whole(high, currency)),
        _ => String::new(),
    };
    row([name, &whole(minor, currency), &interval, &text(figure, "grade"), how])
}

fn forecast(currency: Currency, point: &Value) -> Vec<String> {
    let amounts: Vec<f64> =
        point["forecast_minor"].as_array().into_iter().flatten().filter_map(Value::as_f64).collect();
    let [low, expected, high] = amounts.as_slice() else {
        return row(["Forecast by then", "", "", "D", ""]);
    };
    let at: Micros = text(point, "at").parse().unwrap_or_default();
    let interval = format!("{} to {}", whole(*low, currency), whole(*high, currency));
    let how = format!("business case, accrued to {}", at.date());
    row(["Forecast by then", &whole(*expected, currency), &interval, "D", &how])
}

fn number(value: &Value, key: &str) -> f64 {
    value[key].as_f64().unwrap_or_default()
}
