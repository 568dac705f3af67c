//! Failures as pages: one mapper from [`AppError`] to a status and a sentence that says what to do.

use axum::Json;
use axum::response::{Html, IntoResponse, Redirect, Response};
use greenlight_app::{AppError, Kind};
use greenlight_domain::role::Actor;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, StatusCode, Uri};
use maud::{Markup, html};
use serde_json::json;

use crate::components::capitalised;
use crate::layout::{Section, page};

/// The status of a page that shows this error.
pub(crate) fn status(error: &AppError) -> StatusCode {
    match error.kind() {
        Kind::Unauthenticated => StatusCode::UNAUTHORIZED,
        Kind::Forbidden => StatusCode::FORBIDDEN,
        Kind::NotFound => StatusCode::NOT_FOUND,
        Kind::Invalid => StatusCode::BAD_REQUEST,
        Kind::Conflict => StatusCode::CONFLICT,
        Kind::TooMany => StatusCode::TOO_MANY_REQUESTS,
        Kind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Kind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// What a person is told. The inside of an internal error goes to the log, never to a page.
pub(crate) fn message(error: &AppError) -> String {
    if error.kind() == Kind::Internal {
        tracing::error!(code = error.code(), %error, "a page failed");
        return "Something went wrong inside Greenlight. The server's log says what.".to_owned();
    }
    capitalised(&error.to_string())
}

/// The page for an error; without an actor it has no account menu.
pub fn error_page(actor: Option<&Actor>, error: &AppError) -> Markup {
    let title = match error.kind() {
        Kind::Unauthenticated => "Who are you?",
        Kind::Forbidden => "Somebody else may do this",
        Kind::NotFound => "There is no such page",
        Kind::Invalid => "This request cannot be right",
        Kind::Conflict => "Not in the present state",
        Kind::TooMany | Kind::Unavailable => "Not now",
        Kind::Internal => "Something went wrong",
    };
    let body = html! {
        p.eyebrow { (status(error).as_u16()) " · " (error.code()) }
        h1 { (title) }
        p.lead { (message(error)) }
        p.muted {
            "More about it: " code { "greenlight explain " (error.code()) }
        }
        p { a href="/" { "Back to the portfolio" } }
    };
    page(title, Section::None, actor, body)
}

/// A page or the page of its error.
pub(crate) fn answer(actor: &Actor, result: Result<Markup, AppError>) -> Response {
    match result {
        Ok(markup) => Html(markup.into_string()).into_response(),
        Err(error) => respond(Some(actor), &error, None),
    }
}

/// The page of an error with its status, or with another one.
pub(crate) fn respond(actor: Option<&Actor>, error: &AppError, instead: Option<StatusCode>) -> Response {
    let status = instead.unwrap_or_else(|| status(error));
    (status, Html(error_page(actor, error).into_string())).into_response()
}

/// The address without doubled slashes, which clients make when they join two parts.
fn squeezed(uri: &Uri) -> Option<String> {
    if !uri.path().contains("//") {
        return None;
    }
    let parts: Vec<&str> = uri.path().split('/').filter(|part| !part.is_empty()).collect();
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    // It begins with one slash, so it stays at this host.
    Some(format!("/{}{query}", parts.join("/")))
}

/// Where no route leads: a page for people, a problem (RFC 9457) for programs.
pub(crate) async fn missing(uri: Uri, headers: HeaderMap) -> Response {
    if let Some(squeezed) = squeezed(&uri) {
        return Redirect::permanent(&squeezed).into_response();
    }
    let error = AppError::not_found("page", uri.path(), "check the address");
    let accepts = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if accepts.contains("text/html") {
        return respond(None, &error, None);
    }
    let problem = json!({
        "type": "about:blank", "title": "Not Found", "status": 404,
        "code": error.code(), "detail": error.to_string(),
    });
    (StatusCode::NOT_FOUND, [(CONTENT_TYPE, "application/problem+json")], Json(problem)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubled_slashes_lead_to_one_address_of_this_host() {
        let squeezed = |uri: &'static str| squeezed(&Uri::from_static(uri));
        assert_eq!(squeezed("//model-versions//get?a=//b").as_deref(), Some("/model-versions/get?a=//b"));
        assert_eq!(squeezed("/a/b"), None);
    }
}
