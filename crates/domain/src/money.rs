//! Amounts of money: an integer of minor units (cents) and a currency. Never a float.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::DomainError;

/// An ISO 4217 code with two minor digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Currency([u8; 3]);

impl Currency {
    /// The euro.
    pub const EUR: Self = Self(*b"EUR");

    /// The three letters.
    pub fn code(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("XXX")
    }

    /// The sign that readers know, else the code and a space.
    pub fn symbol(&self) -> &str {
        match &self.0 {
            b"EUR" => "€",
            b"USD" => "$",
            b"GBP" => "£",
            _ => self.code(),
        }
    }
}

impl FromStr for Currency {
    type Err = DomainError;

    fn from_str(code: &str) -> Result<Self, Self::Err> {
        const TWO_DIGITS: [&str; 12] =
            ["EUR", "USD", "GBP", "CHF", "SEK", "NOK", "DKK", "PLN", "CZK", "CAD", "AUD", "INR"];
        if TWO_DIGITS.contains(&code) {
            let mut letters = [0; 3];
            letters.copy_from_slice(code.as_bytes());
            return Ok(Self(letters));
        }
        let problem = format!("'{code}' is not a known currency; use one of {}", TWO_DIGITS.join(", "));
        Err(DomainError::invalid("currency", problem))
    }
}

impl TryFrom<String> for Currency {
    type Error = DomainError;

    fn try_from(code: String) -> Result<Self, Self::Error> {
        code.parse()
    }
}

impl From<Currency> for String {
    fn from(currency: Currency) -> Self {
        currency.code().to_owned()
    }
}

/// An amount in minor units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Money {
    /// Cents of the currency.
    pub minor: i64,
    /// Which currency.
    pub currency: Currency,
}

impl Money {
    /// An amount from minor units.
    pub fn new(minor: i64, currency: Currency) -> Self {
        Self { minor, currency }
    }
}

impl fmt::Display for Money {
    /// `€1,234.56`, with a true minus sign before the currency: `−€27,700.00`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.minor < 0 { "−" } else { "" };
        let cents = self.minor.unsigned_abs();
        write!(f, "{sign}{}{}.{:02}", self.currency.symbol(), grouped(cents / 100), cents % 100)
    }
}

/// Digits in groups of three: `1234567` is `1,234,567`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Whole units without cents, for tables and charts: `−€27,700`.
pub fn whole(minor: f64, currency: Currency) -> String {
    let units = (minor / 100.0).round();
    let sign = if units < 0.0 { "−" } else { "" };
    format!("{sign}{}{}", currency.symbol(), grouped(units.abs() as u64))
}

/// Rounds an amount in major units to minor units, half away from zero; refuses what is not a number or too large.
///
/// This is the one door through which a computed value enters the ledger.
pub fn minor_from_major(major: f64) -> Result<i64, DomainError> {
    if is_bookable(major) {
        return Ok((major * 100.0).round() as i64);
    }
    Err(DomainError::invalid("value", format!("{major} cannot be an amount of money")))
}

/// Whether an amount in major units can enter the ledger; NaN cannot.
pub(crate) fn is_bookable(major: f64) -> bool {
    (major * 100.0).round().abs() < 1.0e13
}

/// An amount as people write it in a manifest: `1200`, `1200.5` or `"1200.50"`, kept as minor units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Amount(pub i64);

impl FromStr for Amount {
    type Err = DomainError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || DomainError::invalid("amount", format!("'{text}' is not an amount such as 1200.50"));
        let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (whole, cents) = digits.split_once('.').unwrap_or((digits, ""));
        let only_digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
        if whole.is_empty()
            || whole.len() > 14
            || cents.len() > 2
            || !only_digits(whole)
            || !only_digits(cents)
        {
            return Err(wrong());
        }
        let whole: i64 = whole.parse().map_err(|_| wrong())?;
        let cents: i64 = format!("{cents:0<2}").parse().map_err(|_| wrong())?;
        let minor = whole * 100 + cents;
        Ok(Self(if negative { -minor } else { minor }))
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        write!(f, "{sign}{}.{:02}", self.0.unsigned_abs() / 100, self.0.unsigned_abs() % 100)
    }
}

impl Serialize for Amount {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Text(String),
            Number(serde_json::Number),
        }
        let text = match Written::deserialize(deserializer)? {
            Written::Text(text) => text,
            Written::Number(number) => number.to_string(),
        };
        // A float such as 1200.0 prints its zero; that is still a whole amount.
        text.strip_suffix(".0").unwrap_or(&text).parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_in_a_manifest_is_exact_or_refused() {
        let parse = |json: &str| serde_json::from_str::<Amount>(json).map(|a| a.0).ok();
        assert_eq!(parse("1200"), Some(120_000));
        assert_eq!(parse("1200.5"), Some(120_050));
        assert_eq!(parse("\"-0.05\""), Some(-5));
        assert_eq!(parse("1.005"), None);
        assert_eq!(parse("\"12 euros\""), None);
        assert_eq!(parse("1e30"), None);
        assert_eq!(serde_json::to_string(&Amount(-5)).unwrap(), "\"-0.05\"");
    }

    fn check(minor: i64, expected: &str) {
        assert_eq!(Money::new(minor, Currency::EUR).to_string(), expected);
    }

    #[test]
    fn amounts_read_as_people_write_them() {
        check(0, "€0.00");
        check(123_456, "€1,234.56");
        check(-2_770_000, "−€27,700.00");
        check(5, "€0.05");
        check(i64::MIN, "−€92,233,720,368,547,758.08");
    }

    #[test]
    fn only_a_finite_amount_enters_the_ledger() {
        assert_eq!(minor_from_major(-5.0), Ok(-500));
        assert_eq!(minor_from_major(6.158_325), Ok(616));
        assert!(minor_from_major(f64::NAN).is_err());
        assert!(minor_from_major(1e300).is_err());
    }

    #[test]
    fn an_unknown_currency_is_told_the_known_ones() {
        assert!("EURO".parse::<Currency>().unwrap_err().to_string().contains("EUR"));
    }
}
