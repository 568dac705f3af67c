//! Data sets: which are there, what is in one, and who uses it?

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use axum::routing::get;
use greenlight_app::App;
use greenlight_app::dataset::{
    DatasetView, Listed, LoggedUse, PAGE, VersionUse, list as find_all, view as find,
};
use greenlight_domain::dataset::ColumnRole;
use greenlight_domain::role::Actor;
use maud::{Markup, html};
use serde::Deserialize;

use super::dataset_profile;
use crate::components::number::{count, counted};
use crate::components::{Tone, date, empty, notice, scroll, tiles};
use crate::failure::answer;
use crate::layout;
use crate::layout::Section;
use crate::session::{Session, percent_encoded};

pub(crate) fn routes() -> Router<Arc<App>> {
    Router::new().route("/datasets", get(show_all)).route("/datasets/{name}", get(show))
}

#[derive(Deserialize)]
struct After {
    #[serde(default)]
    after: String,
}

async fn show_all(
    State(app): State<Arc<App>>,
    Session(actor): Session,
    Query(from): Query<After>,
) -> Response {
    answer(
        &actor,
        find_all(&app, &actor, &from.after).await.map(|rows| list_page(&rows, &from.after, &actor)),
    )
}

#[derive(Deserialize)]
struct Which {
    version: Option<i64>,
}

async fn show(
    State(app): State<Arc<App>>,
    Session(actor): Session,
    Path(name): Path<String>,
    Query(which): Query<Which>,
) -> Response {
    answer(&actor, find(&app, &actor, &name).await.map(|view| page(&view, which.version, &actor)))
}

const QUESTION: &str = "Which data do we have, and who uses them again?";

/// All data sets.
pub fn list_page(rows: &[Listed], after: &str, actor: &Actor) -> Markup {
    let reused = rows.iter().filter(|row| row.initiatives.len() > 1).count();
    let body = html! {
        h1 { (QUESTION) }
        @if rows.is_empty() && after.is_empty() {
            (empty(
                "There is no data set yet. Add a file or a place; a run that logs its input with mlflow.log_input \
                 appears here by itself:",
                "greenlight dataset add NAME FILE.parquet --licence CC-BY-4.0",
            ))
        } @else {
            p.answer {
                (counted(rows.len() as u64, "data set", "data sets"))
                span.answer-part { (reused) " used by more than one initiative" }
            }
            (table(rows))
            @if rows.len() as i64 == PAGE {
                @if let Some(last) = rows.last() {
                    p { a href={ "/datasets?after=" (percent_encoded(&last.name)) } { "Next page" } }
                }
            }
        }
    };
    layout::page(QUESTION, Section::Datasets, Some(actor), body)
}

fn address(name: &str) -> String {
    format!("/datasets/{}", percent_encoded(name))
}

fn table(rows: &[Listed]) -> Markup {
    scroll(
        "Data sets",
        html! {
            table {
                thead { tr {
                    th scope="col" { "Data set" } th.number scope="col" { "Versions" } th.number scope="col" { "Rows" }
                    th.number scope="col" { "Columns" } th scope="col" { "Licence" } th scope="col" { "Owner" }
                    th.number scope="col" { "Runs" } th scope="col" { "Initiatives" } th scope="col" { "Newest" }
                } }
                tbody {
                    @for row in rows {
                        @let record = row.newest.as_ref().and_then(|newest| newest.record.as_ref());
                        tr {
                            th scope="row" { a href=(address(&row.name)) { (row.name) } }
                            td.number { (count(row.versions)) }
                            @match (record, &row.newest) {
                                (Some(record), Some(newest)) => {
                                    td.number { (count(record.profile.rows.cast_signed())) }
                                    td.number { (record.profile.columns.len()) }
                                    td { (newest.spec.licence) }
                                    td { (record.owner) }
                                },
                                _ => td colspan="4" class="none" { "logged by runs, not registered" },
                            }
                            td.number { (count(row.runs)) }
                            td { (initiatives(&row.initiatives)) }
                            td.nowrap { @if let Some(newest) = &row.newest { (date(newest.created_at)) } }
                        }
                    }
                }
            }
        },
    )
}

fn initiatives(names: &[String]) -> Markup {
    html! {
        @for (at, name) in names.iter().enumerate() {
            @if at > 0 { ", " }
            a href={ "/initiatives/" (percent_encoded(name)) } { (name) }
        }
    }
}

/// One data set, at the newest version unless another is asked for.
pub fn page(view: &DatasetView, version: Option<i64>, actor: &Actor) -> Markup {
    let shown = match version {
        Some(number) => view.versions.iter().find(|v| v.version.version == number),
        None => view.versions.first(),
    };
    let reference = shown.map_or_else(|| view.name.clone(), |shown| shown.version.reference());
    let title = format!("What is in {reference}, and who uses it?");
    let body = html! {
        p.eyebrow { a href="/datasets" { "Data sets" } }
        h1 { (title) }
        @if let (None, Some(number)) = (shown, version) {
            (notice(Tone::Bad, &format!("There is no version {number} of {}.", view.name)))
        }
        @if let Some(shown) = shown { (version_part(shown)) }
        @if view.versions.len() > 1 { (versions(view, shown)) }
        @if !view.logged.is_empty() { (logged(&view.logged, view.versions.is_empty())) }
    };
    layout::page(&title, Section::Datasets, Some(actor), body)
}

fn version_part(shown: &VersionUse) -> Markup {
    let VersionUse { version, reuse } = shown;
    let used: Vec<&str> =
        reuse.iter().map(|r| r.initiative.as_str()).filter(|name| !name.is_empty()).collect();
    let runs: i64 = reuse.iter().map(|r| r.runs).sum();
    html! {
        @match &version.record {
            None => p.lead { "This version is older than profiles. Register its file again to have one." },
            Some(record) => {
                p.answer {
                    (counted(record.profile.rows, "row", "rows"))
                    span.answer-part { (counted(record.profile.columns.len() as u64, "column", "columns")) }
                    span.answer-part { (counted(runs.unsigned_abs(), "run", "runs")) }
                    span.answer-part { (counted(used.len() as u64, "initiative", "initiatives")) }
                }
            },
        }
        @if !version.spec.description.is_empty() { p.lead { (version.spec.description) } }
        p { a href={ "/lineage?node=" (percent_encoded(&format!("dataset:{}", version.reference()))) } {
            "What it was made from, and what was made from it" } }
        @if let Some(record) = &version.record {
            (tiles(&[
                ("Owner", html! { (record.owner) }),
                ("Licence", html! { @if version.spec.licence.is_empty() { span.none { "not said" } } @else { (version.spec.licence) } }),
                ("From, to", html! {
                    @if let Some((from, until)) = record.time_range { (date(from)) " to " (date(until)) }
                    @else { span.none { "no column of times" } }
                }),
                ("Format", html! { (record.format) }),
                ("Added", html! { (date(version.created_at)) " by " (version.created_by) }),
                ("Written by", html! {
                    @if record.run_id.is_empty() { span.none { "no run here" } }
                    @else { a href={ "/runs/" (record.run_id) } { "run " (record.run_id.get(..8).unwrap_or(&record.run_id)) } }
                }),
            ]))
            h2 { "Columns" }
            (dataset_profile::table(&record.profile, &version.spec.contract))
            p.source {
                "Digest of all values: " code { (record.profile.digest) } ". Content: " code { (record.source) } "."
            }
            (contract_line(shown))
        }
        (readers(shown))
        @if let Some(record) = &version.record { (how_to(shown, &record.source)) }
    }
}

fn contract_line(shown: &VersionUse) -> Markup {
    let spec = &shown.version.spec;
    html! {
        @if spec.contract.is_empty() {
            p.muted { "Nobody wrote a contract: what is known before a decision is not said, so nothing can be trained on it here." }
        } @else {
            p.muted {
                "The contract was met by all rows. Outcome: " code { (spec.column_of(ColumnRole::Outcome).unwrap_or("none")) }
                "; event time: " code { (spec.column_of(ColumnRole::Time).unwrap_or("none")) } "."
            }
        }
    }
}

fn readers(shown: &VersionUse) -> Markup {
    html! {
        section {
            h2 { "Who uses it" }
            @if shown.reuse.is_empty() {
                p.none { "No run has read this version yet." }
            } @else {
                (scroll("Who uses it", html! {
                    table {
                        thead { tr {
                            th scope="col" { "Initiative" } th.number scope="col" { "Runs" } th scope="col" { "Endpoints that check requests against it" }
                        } }
                        tbody {
                            @for reuse in &shown.reuse {
                                tr {
                                    th scope="row" {
                                        @if reuse.initiative.is_empty() { span.none { "none named" } }
                                        @else { a href={ "/initiatives/" (percent_encoded(&reuse.initiative)) } { (reuse.initiative) } }
                                    }
                                    td.number { (count(reuse.runs)) }
                                    td { @for name in &reuse.endpoints { a href={ "/endpoints/" (percent_encoded(name)) } { (name) } " " } }
                                }
                            }
                        }
                    }
                }))
            }
        }
    }
}

/// How a client reads it so that the run appears in its lineage.
fn how_to(shown: &VersionUse, source: &str) -> Markup {
    let place = if source.starts_with('/') { format!("$GREENLIGHT_URL{source}") } else { source.to_owned() };
    html! {
        details {
            summary { "Read it in a run" }
            pre { code {
                "data = mlflow.data.from_pandas(frame, source=\"" (place) "\", name=\"" (shown.version.name) "\")\n"
                "mlflow.log_input(data, context=\"training\")"
            } }
        }
    }
}

fn versions(view: &DatasetView, shown: Option<&VersionUse>) -> Markup {
    html! {
        section {
            h2 { "Versions" }
            (scroll("Versions", html! {
                table {
                    thead { tr {
                        th scope="col" { "Version" } th.number scope="col" { "Rows" } th.number scope="col" { "Runs" }
                        th scope="col" { "Added" } th scope="col" { "Digest" }
                    } }
                    tbody {
                        @for each in &view.versions {
                            @let number = each.version.version;
                            @let current = shown.is_some_and(|shown| shown.version.version == number);
                            tr aria-current=[current.then_some("true")] {
                                th scope="row" { a href={ (address(&view.name)) "?version=" (number) } { (each.version.reference()) } }
                                td.number { (each.version.record.as_ref().map(|r| count(r.profile.rows.cast_signed())).unwrap_or_default()) }
                                td.number { (count(each.reuse.iter().map(|r| r.runs).sum())) }
                                td.nowrap { (date(each.version.created_at)) " by " (each.version.created_by) }
                                td { code { (each.version.record.as_ref().and_then(|r| r.profile.digest.get(..12)).unwrap_or("")) } }
                            }
                        }
                    }
                }
            }))
        }
    }
}

/// What runs logged under this name with MLflow.
fn logged(uses: &[LoggedUse], alone: bool) -> Markup {
    html! {
        section {
            h2 { "As runs logged it" }
            @if alone {
                p.muted {
                    "Runs logged data of this name. To have versions with a profile, a licence and an owner, register it: "
                    code { "greenlight dataset add NAME PLACE" }
                }
            }
            (scroll("As runs logged it", html! {
                table {
                    thead { tr {
                        th scope="col" { "Digest by the client" } th scope="col" { "Source" } th.number scope="col" { "Rows" }
                        th scope="col" { "Columns" } th.number scope="col" { "Runs" } th scope="col" { "Lineage" }
                    } }
                    tbody {
                        @for each in uses {
                            tr {
                                th scope="row" { code { (each.digest) } }
                                td { (each.source_type) @if !each.place.is_empty() { " " code { (each.place) } } }
                                td.number { (rows_of(&each.profile)) }
                                td { (columns_of(&each.schema)) }
                                td.number { (count(each.runs)) }
                                td { a href={ "/lineage?node=" (percent_encoded(&format!("logged_dataset:{}#{}", each.name, each.digest))) } { "show" } }
                            }
                        }
                    }
                }
            }))
        }
    }
}

/// Rows in the words of MLflow's profile, where they are said.
fn rows_of(profile: &str) -> String {
    let profile: serde_json::Value = serde_json::from_str(profile).unwrap_or_default();
    profile.get("num_rows").and_then(serde_json::Value::as_i64).map(count).unwrap_or_default()
}

/// Names and types in MLflow's schema, the first of them.
fn columns_of(schema: &str) -> String {
    const SHOWN: usize = 8;
    let schema: serde_json::Value = serde_json::from_str(schema).unwrap_or_default();
    let columns = schema.get("mlflow_colspec").and_then(serde_json::Value::as_array);
    let names: Vec<&str> =
        columns.into_iter().flatten().filter_map(|column| column.get("name")?.as_str()).collect();
    let more = names.len().saturating_sub(SHOWN);
    let shown = names.iter().take(SHOWN).copied().collect::<Vec<_>>().join(", ");
    if more > 0 { format!("{shown} and {more} more") } else { shown }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_says_of_its_data_is_read_where_it_can_be() {
        assert_eq!(rows_of(r#"{"num_rows": 1200, "num_elements": 9}"#), "1,200");
        assert_eq!(rows_of("nonsense"), "");
        let columns: Vec<serde_json::Value> =
            (0..10).map(|at| serde_json::json!({ "name": format!("c{at}"), "type": "long" })).collect();
        let schema = serde_json::json!({ "mlflow_colspec": columns }).to_string();
        assert_eq!(columns_of(&schema), "c0, c1, c2, c3, c4, c5, c6, c7 and 2 more");
        assert_eq!(columns_of(""), "");
    }
}
