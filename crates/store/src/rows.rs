//! Text for statements about many rows at once. Values are bound, never written into the text.

use std::fmt::Write;

/// Rows of one insert: enough to spare most round trips. SQLite looks through the names of all parameters to bind one of
/// them, so the cost of a statement grows with the square of their number.
pub(crate) const AT_ONCE: usize = 32;

/// `($1,$2),($3,$4)` for `rows` rows of `columns` values.
pub(crate) fn placeholders(rows: usize, columns: usize) -> String {
    placeholders_with(rows, 0, columns)
}

/// `($1,$2,$3),($1,$4,$5)` for rows that begin with the same `shared` values and have `columns` of their own.
pub(crate) fn placeholders_with(rows: usize, shared: usize, columns: usize) -> String {
    let mut text = String::with_capacity(rows * (shared + columns) * 6);
    for row in 0..rows {
        text.push_str(if row == 0 { "(" } else { ",(" });
        let own = shared + row * columns;
        for (at, place) in (1..=shared).chain(own + 1..=own + columns).enumerate() {
            // Writing into a string cannot fail.
            let _ = write!(text, "{}${place}", if at == 0 { "" } else { "," });
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
    fn rows_share_their_first_values() {
        assert_eq!(placeholders_with(2, 1, 2), "($1,$2,$3),($1,$4,$5)");
        assert_eq!(placeholders_with(1, 2, 1), "($1,$2,$3)");
    }

    #[test]
    fn a_list_of_nothing_matches_nothing() {
        assert_eq!(list([]), "null");
        assert_eq!(list([3, -4]), "3,-4");
    }
}
