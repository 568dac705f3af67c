//! Renders every page from hand-made views into a folder, to be looked at: `cargo run -p greenlight-web --example
//! gallery -- DIR`.
#![expect(clippy::print_stdout, reason = "a command for the terminal: what it wrote is its output")]
#![expect(clippy::unwrap_used, reason = "views that are made by hand for the tests, too")]

#[path = "../tests/it/fixtures.rs"]
mod fixtures;
#[path = "../tests/it/look_fixtures.rs"]
mod look_fixtures;
#[path = "../tests/it/research_fixtures.rs"]
mod research_fixtures;

use std::io;
use std::path::Path;

use fixtures::{
    ab_test, actor, endpoint, endpoint_line, figure, initiative, release, release_view, value_history,
};
use greenlight_domain::evidence::Grade;
use greenlight_domain::release::Stage;
use greenlight_domain::role::Role;
use greenlight_web::pages::run_comparison::Choice;
use greenlight_web::{assets, pages};
use look_fixtures as look;
use maud::Markup;
use research_fixtures as made;

fn main() -> io::Result<()> {
    let folder = std::env::args().nth(1).unwrap_or_else(|| "gallery".to_owned());
    let folder = Path::new(&folder);
    std::fs::create_dir_all(folder)?;
    std::fs::write(folder.join("style.css"), assets::STYLE)?;
    for (name, markup) in gallery() {
        let text = markup.into_string().replace(&assets::style_address(), "style.css");
        std::fs::write(folder.join(name).with_extension("html"), text)?;
        println!("{}", folder.join(name).with_extension("html").display());
    }
    Ok(())
}

fn gallery() -> Vec<(&'static str, Markup)> {
    let bo = actor("bo", Role::Approver);
    let proven = figure(1_732_000.0, 251_000.0, 3_213_000.0, Grade::A);
    let open = figure(212_000.0, -804_000.0, 1_228_000.0, Grade::A);
    let views = [
        initiative("Call fewer clients about term deposits", Some(proven)),
        initiative("Remind late payers earlier", Some(open)),
        initiative("Sort complaints by urgency", None),
    ];
    let approval = release_view(Stage::AwaitingApproval);
    let releases = [
        release("calls.4", Stage::AwaitingApproval),
        release("calls.3", Stage::Live),
        release("calls.2", Stage::Stopped),
    ];
    vec![
        ("portfolio", pages::portfolio::page(&views, &bo)),
        ("portfolio-empty", pages::portfolio::page(&[], &bo)),
        (
            "initiative",
            pages::initiative::page(
                &views[0],
                &value_history(&["10 * outcomes.bought - 5", "9 * outcomes.bought - 5"]),
                &bo,
            ),
        ),
        ("initiative-early", pages::initiative::page(&views[2], &value_history(&[]), &bo)),
        ("release-approval", pages::release::page(&approval, &bo, None)),
        ("release-stopped", pages::release::page(&release_view(Stage::Stopped), &bo, None)),
        ("release-live", pages::release::page(&release_view(Stage::Live), &bo, None)),
        ("ab-test", pages::ab_test::page(&ab_test(250.0, 0), &bo)),
        ("ab-test-open", pages::ab_test::page(&ab_test(20.0, 0), &bo)),
        ("ab-test-blocked", pages::ab_test::page(&ab_test(250.0, 8), &bo)),
        ("releases", pages::release::list_page(&releases, &bo)),
        ("endpoint", pages::endpoint::page(&endpoint(), &bo)),
        ("endpoints", pages::endpoint::list_page(&[endpoint_line()], &bo)),
        ("endpoint-traffic", pages::endpoint_traffic::page(&look::traffic(), &bo)),
        ("endpoint-drift", pages::endpoint_drift::page(&look::drift(), &bo)),
        ("endpoint-disagreements", pages::endpoint_disagreement::page(&look::disagreements(), &bo)),
        ("endpoint-log", pages::prediction::list_page(&look::log(), &bo)),
        ("prediction", pages::prediction::page(&look::prediction(), &bo)),
        ("endpoint-try", pages::endpoint_try::page(&look::form(), None, Ok(&look::tried(false)), &bo)),
        ("endpoint-try-sampled", pages::endpoint_try::page(&look::form(), None, Ok(&look::tried(true)), &bo)),
        ("experiments", pages::experiment::page(&made::experiments(), &bo)),
        ("experiment", pages::run_table::page(&made::run_table(), None, &bo)),
        ("run", pages::run::page(&made::run_view(), &bo)),
        ("runs-compare", pages::run_comparison::page(&made::comparison(), &Choice::default(), &bo)),
        ("models", pages::model::list_page(&made::model_list(), &bo)),
        ("model", pages::model::page(&made::model_view(), "", &bo)),
        ("login", pages::login::page("/releases/calls.3", Some("This token is unknown or was revoked."))),
    ]
}
