//! Who looks at a page: the token from the cookie or the bearer header, and the guards around both.
//!
//! It refuses to keep sessions: the cookie holds the token itself, so revoking the token ends the session at once.

use std::fmt::Write;
use std::sync::Arc;

use axum::extract::{FromRequestParts, Request};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use greenlight_app::{App, AppError};
use greenlight_domain::role::Actor;
use http::header::{AUTHORIZATION, COOKIE, HOST, ORIGIN};
use http::request::Parts;
use http::{HeaderMap, Method, Uri};

use crate::failure;

/// Name of the cookie.
pub const COOKIE_NAME: &str = "greenlight_token";
const MAX_COOKIE_HEADER: usize = 8 * 1024;
const MAX_TOKEN: usize = 200;
const MAX_NEXT: usize = 500;

/// Somebody with a valid token. Without one the request is sent to the login page.
pub(crate) struct Session(pub(crate) Arc<Actor>);

impl FromRequestParts<Arc<App>> for Session {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Self::Rejection> {
        let known = match token(&parts.headers) {
            Some(token) => app.authenticate(token).ok(),
            None => app.anonymous.clone(),
        };
        known.map(Self).ok_or_else(|| to_login(&parts.method, &parts.uri))
    }
}

fn to_login(method: &Method, uri: &Uri) -> Response {
    let wanted = uri.path_and_query().map_or("/", |p| p.as_str());
    let next = if method == Method::GET { safe_next(wanted) } else { "/" };
    if next == "/" {
        return Redirect::to("/login").into_response();
    }
    Redirect::to(&format!("/login?next={}", percent_encoded(next))).into_response()
}

/// The token that came with a request: the bearer header counts before the cookie.
pub fn token(headers: &HeaderMap) -> Option<&str> {
    let bearer = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(|text| {
        let (scheme, rest) = text.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(rest.trim())
    });
    let cookies = || headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    bearer.or_else(|| cookies().find_map(|header| cookie(header, COOKIE_NAME))).filter(|t| is_token(t))
}

/// The value of a cookie in a `Cookie` header (RFC 6265, section 4.2.1). A header beyond 8 KiB is not read.
pub fn cookie<'a>(header: &'a str, name: &str) -> Option<&'a str> {
    if header.len() > MAX_COOKIE_HEADER {
        return None;
    }
    header.split(';').find_map(|pair| {
        let (key, value) = pair.split_once('=')?;
        (key.trim() == name).then(|| value.trim().trim_matches('"'))
    })
}

/// Whether this could be a token at all; anything else never reaches a `Set-Cookie` header.
pub(crate) fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= MAX_TOKEN
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// Where to go after signing in: a path of this site, or the front page.
///
/// Browsers read `//host`, `/\host` and a path with a tab or newline inside as another site; all of those are
/// refused, and so is whatever is not plain ASCII.
pub fn safe_next(wanted: &str) -> &str {
    let plain = wanted.bytes().all(|b| b.is_ascii_graphic() && b != b'\\');
    let local = wanted.starts_with('/') && !wanted.starts_with("//");
    let circular = wanted.starts_with("/login") || wanted.starts_with("/logout");
    if plain && local && !circular && wanted.len() <= MAX_NEXT { wanted } else { "/" }
}

/// Encodes everything but unreserved characters and the slash (RFC 3986, section 2.3).
pub fn percent_encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// Refuses a post that another site made a browser send; `SameSite=Strict` on the cookie is the second lock.
pub(crate) async fn refuse_cross_site(request: Request, next: Next) -> Response {
    let changes = !matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    if changes && !is_same_origin(request.headers(), request.uri()) {
        let problem =
            "this form was sent from another site, so nothing was done; open the page here and try again";
        return failure::respond(
            None,
            &AppError::Conflict(problem.to_owned()),
            Some(http::StatusCode::FORBIDDEN),
        );
    }
    next.run(request).await
}

/// Whether the browser says that the request came from our own page. Programs send neither header and may pass:
/// they carry no cookie that a browser would have added by itself.
pub fn is_same_origin(headers: &HeaderMap, uri: &Uri) -> bool {
    let text = |value: &http::HeaderValue| value.to_str().map(str::to_owned).unwrap_or_default();
    if let Some(site) = headers.get("sec-fetch-site") {
        return matches!(site.as_bytes(), b"same-origin" | b"none");
    }
    let Some(origin) = headers.get(ORIGIN).map(text) else {
        return true;
    };
    let host = headers.get(HOST).map(text).or_else(|| uri.authority().map(ToString::to_string));
    let from = origin.split_once("://").map(|(_, host)| host);
    from.is_some() && from == host.as_deref()
}
