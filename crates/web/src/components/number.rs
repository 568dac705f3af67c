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

/// A measured number with six significant digits, or whole up to a thousand million: `0.7425`, `1.5e−9`. What is no
/// number is said in words.
pub fn significant(number: f64) -> String {
    if number.is_nan() {
        return "not a number".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "infinite" } else { "−infinite" }.to_owned();
    }
    let size = number.abs();
    let written = if size != 0.0 && !(1e-4..1e9).contains(&size) {
        let (digits, power) = format!("{number:.5e}").split_once('e').map_or_else(
            || (number.to_string(), String::new()),
            |(digits, power)| (trimmed(digits).to_owned(), format!("e{power}")),
        );
        digits + &power
    } else {
        let whole = if size < 1.0 { size.log10().floor() as i32 + 1 } else { size.log10() as i32 + 1 };
        let digits = if size == 0.0 { 0 } else { usize::try_from(6 - whole).unwrap_or(0) };
        let text = format!("{number:.digits$}");
        if digits == 0 { text } else { trimmed(&text).to_owned() }
    };
    written.replace('-', "−")
}

/// Decimals without the zeros at their end.
fn trimmed(text: &str) -> &str {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
}

/// How long something took: `0.4 s`, `3 min 5 s`, `2 h 3 min`, `4 d 1 h`.
pub fn duration(micros: i64) -> String {
    let seconds = micros.max(0) / 1_000_000;
    match seconds {
        0..10 => format!("{} s", decimal(micros.max(0) as f64 / 1_000_000.0, 1)),
        10..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

/// Bytes in a unit that reads well: `812 B`, `3.4 KiB`, `1.2 GiB`.
pub fn bytes(size: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if size < 1_024 {
        return format!("{size} B");
    }
    let power = ((size.ilog2() / 10) as usize).min(UNITS.len());
    format!("{:.1} {}", size as f64 / 1_024_f64.powi(power as i32), UNITS[power - 1])
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_measured_number_keeps_six_digits() {
        for (number, expected) in [
            (0.0, "0"),
            (0.742_5, "0.7425"),
            (-0.5, "−0.5"),
            (0.000_123_456_789, "0.000123457"),
            (12_000.0, "12000"),
            (1_234.567_89, "1234.57"),
            (123_456_789.0, "123456789"),
            (1.5e-9, "1.5e−9"),
            (-2e12, "−2e12"),
            (f64::NAN, "not a number"),
            (f64::NEG_INFINITY, "−infinite"),
        ] {
            assert_eq!(significant(number), expected);
        }
    }

    #[test]
    fn lengths_of_time_and_sizes_read_well() {
        for (micros, expected) in [
            (-5, "0.0 s"),
            (420_000, "0.4 s"),
            (59_900_000, "59 s"),
            (185_000_000, "3 min 5 s"),
            (7_380_000_000, "2 h 3 min"),
            (349_200_000_000, "4 d 1 h"),
        ] {
            assert_eq!(duration(micros), expected);
        }
        assert_eq!(
            (bytes(812), bytes(1_024), bytes(1_288_490_189)),
            ("812 B".into(), "1.0 KiB".into(), "1.2 GiB".into())
        );
        assert_eq!(bytes(1 << 60), "1048576.0 TiB");
    }
}
