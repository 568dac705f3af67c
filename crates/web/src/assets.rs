//! The style sheet and the icon, compiled in and named by their content, so that browsers may keep them for ever.

use axum::Router;
use axum::response::IntoResponse;
use axum::routing::get;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};

/// The style sheet of all pages.
pub const STYLE: &str = include_str!("assets/style.css");
const ICON: &str = include_str!("assets/icon.svg");

const FOR_EVER: &str = "public, max-age=31536000, immutable";

const STYLE_VERSION: u64 = fnv1a(STYLE.as_bytes());
const ICON_VERSION: u64 = fnv1a(ICON.as_bytes());

/// Where pages find the style sheet.
pub fn style_address() -> String {
    format!("/assets/style.css?v={STYLE_VERSION:016x}")
}

/// Where pages find the icon.
pub fn icon_address() -> String {
    format!("/assets/icon.svg?v={ICON_VERSION:016x}")
}

/// Assets need nobody to be signed in.
pub(crate) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new().route("/assets/style.css", get(style)).route("/assets/icon.svg", get(icon))
}

async fn style() -> impl IntoResponse {
    ([(CONTENT_TYPE, "text/css; charset=utf-8"), (CACHE_CONTROL, FOR_EVER)], STYLE)
}

async fn icon() -> impl IntoResponse {
    ([(CONTENT_TYPE, "image/svg+xml"), (CACHE_CONTROL, FOR_EVER)], ICON)
}

/// FNV-1a, 64 bits (Fowler, Noll, Vo): tells versions apart; guards nothing.
const fn fnv1a(bytes: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut at = 0;
    while at < bytes.len() {
        hash = (hash ^ bytes[at] as u64).wrapping_mul(0x0100_0000_01b3);
        at += 1;
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::fnv1a;

    /// Vectors of draft-eastlake-fnv, appendix C.
    #[test]
    fn the_hash_meets_its_published_vectors() {
        assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
    }
}
