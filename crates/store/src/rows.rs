//! Text for statements about many rows at once. Values are bound, never written into the text.

use std::fmt::Write;

/// Rows of one insert: enough to spare most round trips, few enough for SQLite's bound of 32,766 parameters.
pub(crate) const AT_ONCE: usize = 128;

/// `($1,$2),($3,$4)` for `rows` rows of `columns` values.
pub(crate) fn placeholders(rows: usize, columns: usize) -> String {
    let mut text = String::with_capacity(rows * columns * 6);
    for row in 0..rows {
        text.push_str(if row == 0 { "(" } else { ",(" });
        for column in 1..=columns {
            // Writing into a string cannot fail.
            let _ = write!(text, "{}${}", if column == 1 { "" } else { "," }, row * columns + column);
        }
        text.push(')');
    }
    text
}

/// `1,2,3`: numbers of ours, which need no binding.
pub(crate) fn list(numbers: impl IntoIterator<Item = i64>) -> String {
    let numbers: Vec<String> = numbers.into_iter().map(|number| number.to_string()).collect();
    if numbers.is_empty() { "null".to_owned() } else { numbers.join(",") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_has_its_number() {
        assert_eq!(placeholders(2, 3), "($1,$2,$3),($4,$5,$6)");
        assert_eq!(placeholders(1, 1), "($1)");
    }

    #[test]
    fn a_list_of_nothing_matches_nothing() {
        assert_eq!(list([]), "null");
        assert_eq!(list([3, -4]), "3,-4");
    }
}
