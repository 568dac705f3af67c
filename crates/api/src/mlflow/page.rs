//! Page tokens: how many things come before the page, wrapped so that clients do not build on it.

use super::error::MlflowError;

/// The token of the page that begins after that many.
pub(crate) fn token(offset: i64) -> String {
    format!("{offset:x}")
}

/// How many things come before the page of that token; none without one.
pub(crate) fn offset(token: Option<&str>) -> Result<i64, MlflowError> {
    let Some(token) = token else { return Ok(0) };
    let offset = i64::from_str_radix(token, 16).ok().filter(|offset| *offset > 0);
    offset.ok_or_else(|| {
        MlflowError::invalid("Invalid page token: send the next_page_token of the answer before, or none")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_leads_back() {
        assert_eq!(offset(Some(&token(1_000))).unwrap(), 1_000);
        assert_eq!(offset(None).unwrap(), 0);
        for wrong in ["", "0", "-5", "x", "ffffffffffffffffff"] {
            assert!(offset(Some(wrong)).is_err(), "{wrong}");
        }
    }
}
