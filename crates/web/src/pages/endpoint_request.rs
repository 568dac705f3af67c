//! How to ask an endpoint: its columns, and a request in the Open Inference Protocol that is ready to be pasted.

use greenlight_app::endpoint::EndpointView;
use greenlight_domain::frame::{ColumnType, Field};
use maud::{Markup, html};
use serde_json::json;

use crate::components::scroll;

pub(super) fn section(view: &EndpointView) -> Markup {
    html! {
        section {
            h2 { "How to ask it" }
            pre { code { (curl(view)) } }
            details {
                summary { "The " (columns(view).len()) " columns of a request" }
                (scroll("Columns of a request", html! {
                    table.compact {
                        thead { tr { th scope="col" { "Column" } th scope="col" { "Type" } th scope="col" { "Meaning" } } }
                        tbody {
                            @for (field, meaning) in columns(view) {
                                tr {
                                    th scope="row" { code { (field.name) } }
                                    td { (datatype(field.column_type)) }
                                    td { (meaning) }
                                }
                            }
                        }
                    }
                }))
            }
        }
    }
}

/// The unit first, then the event time if one is asked for, then the features.
fn columns(view: &EndpointView) -> Vec<(Field, &'static str)> {
    let spec = &view.spec;
    let unit = (Field::text(&spec.unit), "unit: the same one always gets the same variant");
    let time = spec.event_time.iter().map(|name| (Field::text(name), "event time, RFC 3339"));
    let features = view.request.iter().map(|field| (field.clone(), "feature, known before the decision"));
    std::iter::once(unit).chain(time).chain(features).collect()
}

fn datatype(column: ColumnType) -> &'static str {
    match column {
        ColumnType::Number => "FP64",
        ColumnType::Text => "BYTES",
    }
}

/// A command for a POSIX shell. Names are ours or come from manifests; a quote in one is closed and escaped.
pub(super) fn curl(view: &EndpointView) -> String {
    let inputs: Vec<String> = columns(view)
        .iter()
        .map(|(field, _)| {
            let example = if *field.name == *view.spec.unit {
                json!("unit-1")
            } else if view.spec.event_time.as_deref() == Some(&*field.name) {
                json!("2009-05-04T10:00:00Z")
            } else {
                match field.column_type {
                    ColumnType::Number => json!(0),
                    ColumnType::Text => json!("…"),
                }
            };
            let datatype = datatype(field.column_type);
            // Written out, because a JSON map would sort its keys and put the data before the name.
            let name = json!(field.name);
            format!(r#"{{"name": {name}, "shape": [1], "datatype": "{datatype}", "data": [{example}]}}"#)
        })
        .collect();
    let body = format!("{{\"inputs\": [\n  {}\n]}}", inputs.join(",\n  ")).replace('\'', "'\\''");
    format!(
        "curl \"$GREENLIGHT_URL/v2/models/{}/infer\" \\\n  -H \"Authorization: Bearer $GREENLIGHT_TOKEN\" \\\n  \
         -H 'Content-Type: application/json' \\\n  -d '{body}'",
        view.name
    )
}
