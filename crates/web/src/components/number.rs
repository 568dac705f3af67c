//! Numbers as people read them: grouped, with a true minus sign, and never NaN on a page.

use greenlight_domain::money::{Currency, Money, grouped, whole};

/// What stands where a number is not known.
pub const UNKNOWN: &str = "not known";

/// Minor units rounded to whole units: `−€27,700`.
pub fn money(minor: f64, currency: Currency) -> String {
    if minor.is_finite() { whole(minor, currency) } else { UNKNOWN.to_owned() }
}

/// Minor units to the cent: `€1.23`. For amounts of one unit of traffic, where whole euros would hide everything.
pub fn money_to_the_cent(minor: f64, currency: Currency) -> String {
    if minor.is_finite() {
        Money::new(minor.round() as i64, currency).to_string()
    } else {
        UNKNOWN.to_owned()
    }
}

/// A count, grouped; a negative one has a true minus sign.
pub fn count(number: i64) -> String {
    let sign = if number < 0 { "−" } else { "" };
    format!("{sign}{}", grouped(number.unsigned_abs()))
}

/// A share of 1 in percent with `digits` decimals: `12.3 %`.
pub fn percent(share: f64, digits: usize) -> String {
    if share.is_finite() { format!("{} %", decimal(share * 100.0, digits)) } else { UNKNOWN.to_owned() }
}

/// A number with `digits` decimals and a true minus sign.
pub fn decimal(number: f64, digits: usize) -> String {
    if !number.is_finite() {
        return UNKNOWN.to_owned();
    }
    format!("{number:.digits$}").replace('-', "−")
}

/// Microseconds as milliseconds with a sensible number of digits: `0.041 ms`, `12.3 ms`.
pub fn milliseconds(micros: f64) -> String {
    let digits = match micros {
        under if under < 1_000.0 => 3,
        under if under < 100_000.0 => 1,
        _ => 0,
    };
    if micros.is_finite() { format!("{} ms", decimal(micros / 1_000.0, digits)) } else { UNKNOWN.to_owned() }
}

/// `part` of `whole` as a share; 0 when there is nothing to share.
pub fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// How much has matured, rounded down to a tenth of a percent: nearly all is never shown as all.
pub fn matured_share(matured: u64, all: u64) -> String {
    percent((share(matured, all) * 1_000.0).floor() / 1_000.0, 1)
}

/// `1 unit`, `2,000 units`.
pub fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", grouped(number), if number == 1 { one } else { many })
}
