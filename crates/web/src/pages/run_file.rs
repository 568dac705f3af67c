//! The files of a run: a folder to walk through, and a file to take away.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use greenlight_app::repository::Found;
use greenlight_app::run_artifact::{Owner, open};
use greenlight_app::run_view::{Folder, MAX_ENTRIES, RunView};
use greenlight_app::{App, AppError};
use greenlight_domain::role::Action;
use http::header::{CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE};
use maud::{Markup, html};
use serde::Deserialize;

use crate::components::number::bytes;
use crate::components::research::run_address;
use crate::components::scroll;
use crate::failure::answer;
use crate::session::{Session, percent_encoded};

pub(crate) fn routes() -> Router<Arc<App>> {
    Router::new().route("/runs/{id}/file", get(download))
}

#[derive(Deserialize)]
struct Wanted {
    path: String,
}

async fn download(
    State(app): State<Arc<App>>,
    Session(actor): Session,
    Path(id): Path<String>,
    query: Result<Query<Wanted>, QueryRejection>,
) -> Response {
    let path = match query {
        Ok(Query(wanted)) => wanted.path,
        Err(rejection) => return answer(&actor, Err(AppError::Invalid(rejection.body_text()))),
    };
    match open(&app, &actor, Owner::Run(&id), &path, None).await {
        Ok(found) => file(&path, found),
        Err(error) => answer(&actor, Err(error)),
    }
}

/// A file for keeping, never for showing: anybody who logs decides what is in it.
fn file(path: &str, found: Found) -> Response {
    let name = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    // The name in RFC 8187's encoding; the plain one is for clients that do not read it.
    let encoded = percent_encoded(name);
    let headers = [
        (CONTENT_TYPE, "application/octet-stream".to_owned()),
        (CONTENT_LENGTH, found.size.to_string()),
        (
            CONTENT_DISPOSITION,
            format!("attachment; filename=\"{}\"; filename*=UTF-8''{encoded}", plain(name)),
        ),
    ];
    (headers, Body::from_stream(found.bytes)).into_response()
}

/// The name in letters that need no quoting in a header.
fn plain(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() || "-._ ".contains(c) { c } else { '_' }).collect()
}

/// The folder that was asked for.
pub(super) fn section(view: &RunView) -> Markup {
    let folder = &view.folder;
    let address = run_address(&view.run.info.id);
    html! {
        section id="files" {
            h2 { "Files" }
            (trail(&address, folder))
            @if let Some(problem) = &folder.problem { p.none { "The folder cannot be shown: " (problem) } }
            @else if folder.entries.is_empty() { p.none { "No file lies here." } }
            @else { (entries(&address, view)) }
            @if folder.more { p.small.muted { "The first " (MAX_ENTRIES) " are shown; a client sees all." } }
            @if !view.may_download && folder.entries.iter().any(|entry| entry.size.is_some()) {
                p.small.muted { "To take a file away needs the role " (Action::Download.needed_roles()) "." }
            }
        }
    }
}

/// The folders above, each a link.
fn trail(address: &str, folder: &Folder) -> Markup {
    let parts: Vec<&str> = folder.path.split('/').filter(|part| !part.is_empty()).collect();
    html! {
        @if !parts.is_empty() {
            p.trail {
                a href={ (address) "#files" } { "all files" }
                @for place in 0..parts.len() {
                    " / "
                    @if place + 1 == parts.len() { (parts[place]) } @else {
                        a href=(below(address, &parts[..=place].join("/"))) { (parts[place]) }
                    }
                }
            }
        }
    }
}

fn below(address: &str, path: &str) -> String {
    format!("{address}?path={}#files", percent_encoded(path))
}

fn entries(address: &str, view: &RunView) -> Markup {
    let folder = &view.folder;
    let path = |name: &str| {
        let above = folder.path.trim_matches('/');
        if above.is_empty() { name.to_owned() } else { format!("{above}/{name}") }
    };
    scroll(
        "Files",
        html! {
            table.compact {
                thead { tr { th scope="col" { "Name" } th.number scope="col" { "Size" } } }
                tbody {
                    @for entry in &folder.entries {
                        tr {
                            th scope="row" {
                                @match entry.size {
                                    None => a href=(below(address, &path(&entry.name))) { (entry.name) "/" },
                                    Some(_) if view.may_download => {
                                        a href={ (address) "/file?path=" (percent_encoded(&path(&entry.name))) } download { (entry.name) }
                                    }
                                    Some(_) => (entry.name),
                                }
                            }
                            td.number { @match entry.size { Some(size) => (bytes(size)), None => span.none { "folder" } } }
                        }
                    }
                }
            }
        },
    )
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn a_name_in_a_header_is_plain() {
        assert_eq!(plain("model v1.pkl"), "model v1.pkl");
        assert_eq!(plain("a\"b\r\nü/\\"), "a_b_____");
    }
}
