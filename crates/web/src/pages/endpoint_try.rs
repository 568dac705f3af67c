//! What would an endpoint say about this row, and why? A form to change the row by hand.
//!
//! Nothing here is logged, and nothing counts as traffic. The form is posted, because its values may be personal and
//! an address is kept in histories; it changes nothing, so it may be sent twice.

use std::sync::Arc;

use axum::Router;
use axum::extract::rejection::{FormRejection, QueryRejection};
use axum::extract::{Form, Path, Query, State};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use greenlight_app::explain::{DecisionWorth, ExplainRow, Tried, TryForm, explain, form as find};
use greenlight_app::{App, AppError, Kind};
use greenlight_domain::frame::{ColumnType, Field};
use greenlight_domain::role::Actor;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::endpoint_tabs::{Tab, eyebrow, tabs};
use crate::chart::waterfall;
use crate::components::figure::figure_to_the_cent;
use crate::components::number::{decimal, money_to_the_cent, percent};
use crate::components::{Tone, notice, scroll};
use crate::failure::{answer, message, respond, status};
use crate::layout;
use crate::layout::Section;
use crate::session::{Session, percent_encoded};

/// Stands before the name of a feature in the form, so that no feature can be mistaken for another field.
const FEATURE: &str = "feature.";

pub(crate) fn routes() -> Router<Arc<App>> {
    Router::new().route("/endpoints/{name}/try", get(show).post(try_row))
}

#[derive(Deserialize)]
struct Wanted {
    prediction: Option<String>,
    model: Option<String>,
}

async fn show(
    State(app): State<Arc<App>>,
    Session(actor): Session,
    Path(name): Path<String>,
    query: Result<Query<Wanted>, QueryRejection>,
) -> Response {
    let wanted = match query {
        Ok(Query(wanted)) => wanted,
        Err(rejection) => return answer(&actor, Err(AppError::Invalid(rejection.body_text()))),
    };
    let form = match find(&app, &actor, &name, wanted.prediction.as_deref()).await {
        Ok(form) => form,
        Err(error) => return respond(Some(&actor), &error, None),
    };
    let model = wanted.model.or_else(|| form.models.first().cloned());
    let row = form.row.iter().cloned().collect();
    show_tried(&app, &actor, form, ExplainRow { row, model, ..ExplainRow::default() }).await
}

async fn try_row(
    State(app): State<Arc<App>>,
    Session(actor): Session,
    Path(name): Path<String>,
    fields: Result<Form<Vec<(String, String)>>, FormRejection>,
) -> Response {
    let fields = match fields {
        Ok(Form(fields)) => fields,
        Err(rejection) => return answer(&actor, Err(AppError::Invalid(rejection.body_text()))),
    };
    let mut form = match find(&app, &actor, &name, None).await {
        Ok(form) => form,
        Err(error) => return respond(Some(&actor), &error, None),
    };
    form.source = String::from("the form");
    let model = fields.iter().find(|(name, _)| name == "model").map(|(_, model)| model.clone());
    match read(&form.fields, &fields) {
        Ok(row) => {
            form.row = row.clone().into_iter().collect();
            show_tried(&app, &actor, form, ExplainRow { row, model, ..ExplainRow::default() }).await
        }
        Err(problem) => {
            let error = AppError::Invalid(problem);
            form.row = fields
                .iter()
                .filter_map(|(name, text)| {
                    Some((name.strip_prefix(FEATURE)?.to_owned(), Value::from(text.as_str())))
                })
                .collect();
            (status(&error), Html(page(&form, model.as_deref(), Err(&message(&error)), &actor).into_string()))
                .into_response()
        }
    }
}

async fn show_tried(app: &App, actor: &Actor, form: TryForm, row: ExplainRow) -> Response {
    let model = row.model.clone();
    match explain(app, actor, &form.endpoint, row).await {
        Ok(tried) => Html(page(&form, model.as_deref(), Ok(&tried), actor).into_string()).into_response(),
        Err(error) => {
            // Without a champion there is a page that says so, not a failure.
            let code = if error.kind() == Kind::Conflict { http::StatusCode::OK } else { status(&error) };
            let shown = page(&form, model.as_deref(), Err(&message(&error)), actor);
            (code, Html(shown.into_string())).into_response()
        }
    }
}

/// The features of a posted form: an empty field is missing.
fn read(fields: &[Field], posted: &[(String, String)]) -> Result<Map<String, Value>, String> {
    fields
        .iter()
        .map(|field| {
            let text = posted
                .iter()
                .find(|(name, _)| name.strip_prefix(FEATURE) == Some(field.name.as_ref()))
                .map_or("", |(_, text)| text.trim());
            let value = match field.column_type {
                _ if text.is_empty() => Value::Null,
                ColumnType::Text => Value::from(text),
                ColumnType::Number => match text.replace('−', "-").parse::<f64>() {
                    Ok(number) if number.is_finite() => Value::from(number),
                    _ => return Err(format!("{}: “{}” is not a number", field.name, text)),
                },
            };
            Ok((field.name.to_string(), value))
        })
        .collect()
}

/// The page: what was found, or why nothing was, and the form with its values.
pub fn page(form: &TryForm, model: Option<&str>, tried: Result<&Tried, &str>, actor: &Actor) -> Markup {
    let title = format!("What would “{}” say about this row, and why?", form.endpoint);
    let body = html! {
        (eyebrow(&form.endpoint))
        h1 { (title) }
        (tabs(&form.endpoint, Tab::Try))
        @match tried {
            Ok(tried) => (found(tried)),
            Err(problem) => (notice(Tone::Waiting, problem)),
        }
        (inputs(form, model))
    };
    layout::page(&title, Section::Endpoints, Some(actor), body)
}

fn found(tried: &Tried) -> Markup {
    let explanation = &tried.explanation;
    html! {
        p.answer { b { (tried.decision) } ": " (tried.model) " says " (percent(tried.probability, 1)) " for “" (tried.outcome) "”" }
        p.muted {
            "The holdout rule would " @if tried.holdout_decision == tried.decision { "do the same" } @else { "say " b { (tried.holdout_decision) } }
            ". Nothing was logged and nothing counts as traffic."
        }
        (waterfall::chart(explanation, &tried.model))
        p.small.muted { (reading(tried)) }
        (worth(tried))
    }
}

fn reading(tried: &Tried) -> String {
    let explanation = &tried.explanation;
    if explanation.unit == "log-odds" {
        let chance = |logit: f64| percent(1.0 / (1.0 + (-logit).exp()), 1);
        return format!(
            "In log-odds {} is a probability of {} and {} one of {}; exact, so the steps sum to the score.",
            decimal(explanation.expected, 3),
            chance(explanation.expected),
            decimal(explanation.score, 3),
            chance(explanation.score)
        );
    }
    let largest = explanation.contributions.iter().filter_map(|part| part.standard_error).fold(0.0, f64::max);
    format!(
        "The steps sum to the score whatever is sampled; each is known to a standard error of at most {} (every one is in \
         the numbers). The first mark is the mean score of the rows that stand for what is not known.",
        decimal(largest, 4)
    )
}

fn worth(tried: &Tried) -> Markup {
    html! {
        section {
            h2 { "What each decision is expected to be worth" }
            (scroll("Expected worth by decision", html! {
                table {
                    thead { tr {
                        th scope="col" { "Decision" } th.number scope="col" { "Expected" }
                        th.number scope="col" { "If not “" (tried.outcome) "”" }
                        th.number scope="col" { "If “" (tried.outcome) "”" }
                    } }
                    tbody { @for one in &tried.worth { (line(one, one.decision == tried.decision)) } }
                }
            }))
            p.small.muted { "Grade D: asserted by the value model at this probability, for one unit; not earned." }
            @if !tried.assumptions.is_empty() {
                details { summary { "What the value model assumes" }
                    ul { @for assumption in &tried.assumptions { li { (assumption) } } } }
            }
        }
    }
}

fn line(one: &DecisionWorth, chosen: bool) -> Markup {
    let currency = one.expected.currency;
    html! {
        tr.chosen[chosen] {
            th scope="row" { (one.decision) @if chosen { " " span.muted { "(chosen)" } } }
            td.number { (figure_to_the_cent(one.expected.minor, &one.expected)) }
            td.number { (money_to_the_cent(one.if_not_minor, currency)) }
            td.number { (money_to_the_cent(one.if_happened_minor, currency)) }
        }
    }
}

fn inputs(form: &TryForm, model: Option<&str>) -> Markup {
    let value = |field: &Field| {
        form.row.iter().find(|(name, _)| *name == *field.name).map_or_else(String::new, |(_, value)| {
            match value {
                Value::Null => String::new(),
                Value::String(text) => text.clone(),
                other => other.as_f64().map_or_else(|| other.to_string(), |number| number.to_string()),
            }
        })
    };
    html! {
        section {
            h2 { "The row" }
            p.muted { "Begun from " (form.source) ". Change a value and ask again; an empty field is a missing value." }
            form.inputs method="post" action={ "/endpoints/" (percent_encoded(&form.endpoint)) "/try" } {
                @if !form.models.is_empty() {
                    div { label for="model" { "Model" }
                        select id="model" name="model" {
                            @for known in &form.models { option value=(known) selected[model == Some(known)] { (known) } }
                            @if let Some(other) = model.filter(|m| !form.models.iter().any(|known| known == m)) {
                                option value=(other) selected { (other) }
                            }
                        } }
                }
                @for (index, field) in form.fields.iter().enumerate() {
                    div { label for={ "feature-" (index) } { (field.name) }
                        input id={ "feature-" (index) } name={ (FEATURE) (field.name) } value=(value(field))
                            inputmode=[(field.column_type == ColumnType::Number).then_some("decimal")]
                            maxlength="4096" autocomplete="off" spellcheck="false"; }
                }
                div.filters-go { button.primary type="submit" { "Ask again" } }
            }
        }
    }
}
