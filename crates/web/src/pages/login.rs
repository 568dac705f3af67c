//! Signing in with a token, and out again.

use std::sync::Arc;

use axum::Router;
use axum::extract::rejection::{FormRejection, QueryRejection};
use axum::extract::{Form, Query, State};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use greenlight_app::App;
use http::header::SET_COOKIE;
use http::{HeaderMap, StatusCode};
use maud::{Markup, html};
use serde::Deserialize;

use crate::components::{Tone, notice};
use crate::layout;
use crate::layout::Section;
use crate::session::{COOKIE_NAME, is_token, safe_next};

/// Thirty days; revoking the token ends it sooner.
const COOKIE_SECONDS: u32 = 30 * 86_400;

pub(crate) fn routes() -> Router<Arc<App>> {
    Router::new().route("/login", get(show).post(sign_in)).route("/logout", post(sign_out))
}

#[derive(Deserialize)]
struct Wanted {
    #[serde(default)]
    next: String,
}

#[derive(Deserialize)]
struct SignIn {
    token: String,
    #[serde(default)]
    next: String,
}

async fn show(wanted: Result<Query<Wanted>, QueryRejection>) -> Html<String> {
    let next = wanted.map(|Query(wanted)| wanted.next).unwrap_or_default();
    Html(page(&next, None).into_string())
}

async fn sign_in(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    form: Result<Form<SignIn>, FormRejection>,
) -> Response {
    let Ok(Form(form)) = form else {
        return refused("", "Send the form with its field “token”.");
    };
    let token = form.token.trim();
    if !is_token(token) || app.authenticate(token).is_err() {
        return refused(&form.next, "This token is unknown or was revoked. Check that all of it was copied.");
    }
    let set = cookie(token, COOKIE_SECONDS, is_https(&headers));
    ([(SET_COOKIE, set)], Redirect::to(safe_next(&form.next))).into_response()
}

async fn sign_out(headers: HeaderMap) -> Response {
    ([(SET_COOKIE, cookie("", 0, is_https(&headers)))], Redirect::to("/login")).into_response()
}

fn refused(next: &str, problem: &str) -> Response {
    (StatusCode::UNAUTHORIZED, Html(page(next, Some(problem)).into_string())).into_response()
}

fn is_https(headers: &HeaderMap) -> bool {
    headers.get("x-forwarded-proto").is_some_and(|proto| proto.as_bytes().eq_ignore_ascii_case(b"https"))
}

fn cookie(token: &str, seconds: u32, https: bool) -> String {
    let secure = if https { "; Secure" } else { "" };
    format!("{COOKIE_NAME}={token}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}")
}

/// The page; `next` is where to go afterwards, `problem` why the last try failed.
pub fn page(next: &str, problem: Option<&str>) -> Markup {
    let body = html! {
        div.narrow-page {
            h1 { "Who is looking?" }
            p.lead { "Sign in with your token. What it may show and do is decided by its role." }
            @if let Some(problem) = problem { (notice(Tone::Bad, problem)) }
            form method="post" action="/login" {
                input type="hidden" name="next" value=(safe_next(next));
                label for="token" { "Token" }
                input id="token" name="token" type="password" required autocomplete="current-password"
                    placeholder="gl_…" spellcheck="false" autofocus;
                button.primary type="submit" { "Sign in" }
            }
            h2 { "No token yet?" }
            p {
                "The server printed the first one, for an administrator, when it was started for the first time. "
                "An administrator issues one for each person and program:"
            }
            pre { code { "greenlight token issue --name ada --role approver" } }
        }
    };
    layout::page("Sign in", Section::None, None, body)
}
