//! Cookies, tokens, and the guards against other sites.

use greenlight_web::session::{cookie, is_same_origin, percent_encoded, safe_next, token};
use http::{HeaderMap, HeaderValue, Uri};

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(*name, HeaderValue::from_str(value).unwrap());
    }
    headers
}

#[test]
fn a_cookie_is_found_among_others() {
    let check = |header: &str, expected| assert_eq!(cookie(header, "greenlight_token"), expected, "{header}");
    check("greenlight_token=gl_1", Some("gl_1"));
    check("a=b; greenlight_token=\"gl_1\"; c=d", Some("gl_1"));
    check("not_greenlight_token=gl_1", None);
    check("greenlight_token", None);
    check(";;=;", None);
    check("", None);
    check(&format!("greenlight_token=gl_1; x={}", "y".repeat(9_000)), None);
}

#[test]
fn a_token_comes_by_header_or_cookie_and_is_bounded() {
    let check =
        |pairs: &[(&'static str, &str)], expected| assert_eq!(token(&headers(pairs)), expected, "{pairs:?}");
    check(&[("authorization", "Bearer gl_a")], Some("gl_a"));
    check(&[("authorization", "bearer gl_a"), ("cookie", "greenlight_token=gl_b")], Some("gl_a"));
    check(&[("cookie", "x=y"), ("cookie", "greenlight_token=gl_b")], Some("gl_b"));
    check(&[("cookie", "greenlight_token=")], None);
    check(&[("cookie", "greenlight_token=gl b")], None);
    check(&[("authorization", &format!("Bearer {}", "a".repeat(201)))], None);
    check(&[], None);
}

#[test]
fn after_signing_in_one_stays_on_this_site() {
    for local in ["/", "/releases/calls.1", "/endpoints/calls?x=1&y=/z"] {
        assert_eq!(safe_next(local), local);
    }
    let far = format!("/{}", "a".repeat(600));
    for foreign in [
        "",
        "releases",
        "//evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "https://evil.example",
        "/\t/evil.example",
        "/\n/evil.example",
        "javascript:alert(1)",
        "/ü",
        "/login",
        "/login?next=/",
        "/logout",
        &far,
    ] {
        assert_eq!(safe_next(foreign), "/", "{foreign:?}");
    }
}

#[test]
fn what_is_not_unreserved_is_encoded() {
    assert_eq!(percent_encoded("/a-b_c.d~e?f=g&h=ü"), "/a-b_c.d~e%3Ff%3Dg%26h%3D%C3%BC");
}

#[test]
fn a_post_from_another_site_is_told_apart() {
    let uri = Uri::from_static("/releases/calls.1/decisions");
    let check = |pairs: &[(&'static str, &str)], expected| {
        assert_eq!(is_same_origin(&headers(pairs), &uri), expected, "{pairs:?}");
    };
    check(&[("sec-fetch-site", "same-origin")], true);
    check(&[("sec-fetch-site", "none")], true);
    check(&[("sec-fetch-site", "same-site")], false);
    check(
        &[("sec-fetch-site", "cross-site"), ("origin", "http://localhost:8080"), ("host", "localhost:8080")],
        false,
    );
    check(&[("origin", "http://localhost:8080"), ("host", "localhost:8080")], true);
    check(&[("origin", "http://evil.example"), ("host", "localhost:8080")], false);
    check(&[("origin", "null"), ("host", "localhost:8080")], false);
    check(&[("origin", "http://localhost:8080")], false);
    check(&[("host", "localhost:8080")], true);
}
