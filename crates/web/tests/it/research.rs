//! The pages of research: experiments, runs, comparisons, models.

use greenlight_app::experiment_overview::{Count, ExperimentPage};
use greenlight_app::run_search::View;
use greenlight_app::run_table::{RunTable, RunTableQuery};
use greenlight_app::run_view::Folder;
use greenlight_domain::role::{Actor, Role};
use greenlight_web::components::research::{how_many, model_address, moment, run_address};
use greenlight_web::pages::run_comparison::Choice;
use greenlight_web::pages::run_table::{Address, Columns};
use greenlight_web::pages::{experiment, model, run, run_comparison, run_table};
use maud::Markup;

use crate::fixtures::{actor, day};
use crate::research_fixtures as made;

const HOSTILE: &str = "<script>alert('x')</script>\"><img src=x onerror=y>";

fn vera() -> Actor {
    actor("vera", Role::Viewer)
}

fn content(page: &Markup) -> String {
    let text = page.0.replace("><", ">\n<");
    let from = text.find("<main").unwrap();
    let until = text.find("</main>").unwrap();
    text[from..until].to_owned()
}

fn says(page: &Markup, expected: &[&str]) {
    for words in expected {
        assert!(page.0.contains(words), "'{words}' is missing in {}", page.0);
    }
}

fn sound(page: &Markup) {
    for wrong in ["NaN", "style=", "<script", "<img", "onload"] {
        assert!(!page.0.contains(wrong), "{wrong} in {}", page.0);
    }
}

#[test]
fn experiments_say_how_many_runs_they_have() {
    let page = experiment::page(&made::experiments(), &vera());
    insta::assert_snapshot!(content(&page));
    says(
        &page,
        &[
            "1,204 runs",
            "more than 10,000 runs",
            "/experiments/7",
            "?name=&amp;from=25",
            "aria-current=\"page\">Experiments",
        ],
    );
    let none = ExperimentPage { lines: vec![], more: false, ..made::experiments() };
    says(&experiment::page(&none, &vera()), &["mlflow.set_experiment"]);
    let searched = ExperimentPage { part: "a&b".into(), offset: 25, ..made::experiments() };
    says(
        &experiment::page(&searched, &vera()),
        &["?name=a%26b&amp;from=0", "?name=a%26b&amp;from=50", "value=\"a&amp;b\""],
    );
    let missing = ExperimentPage { part: "x".into(), ..none };
    says(&experiment::page(&missing, &vera()), &["No experiment fits"]);
}

#[test]
fn the_table_of_runs_keeps_what_was_asked_from_link_to_link() {
    let page = run_table::page(&made::run_table(), None, &vera());
    insta::assert_snapshot!(content(&page));
    sound(&page);
    says(
        &page,
        &[
            "Runs 26 to 29, and there are more",
            "value=\"metrics.auc &gt; 0.7\"",
            "aria-sort=\"descending\"",
            // The column that orders goes the other way; the filter stays, the place does not.
            "?filter=metrics.auc%20%3E%200.7&amp;order=metrics.%60auc%60%20ASC&amp;rows=25\"",
            "&amp;rows=25&amp;from=50\"",
            "action=\"/runs/compare\"",
            "name=\"run\" value=\"00000000000000000000000000000001\"",
            "aria-label=\"Compare calm-owl-1\"",
            "not a number",
        ],
    );
}

#[test]
fn a_filter_that_cannot_be_read_stays_beside_its_error() {
    let problem = "Invalid clause(s) in filter string: 'auc'".to_owned();
    let view = RunTable { problem: Some(problem), runs: vec![], more: false, ..made::run_table() };
    let page = run_table::page(&view, None, &vera());
    says(
        &page,
        &[
            "value=\"metrics.auc &gt; 0.7\"",
            "aria-invalid=\"true\" aria-describedby=\"problem\"",
            "id=\"problem\" role=\"alert\">Invalid clause(s)",
            "Nothing was looked for.",
        ],
    );
}

#[test]
fn columns_are_chosen_and_kept() {
    let columns = Columns { metrics: vec!["auc".into()], params: vec!["gone".into()] };
    let page = run_table::page(&made::run_table(), Some(columns), &vera());
    says(
        &page,
        &[
            "name=\"metric\" value=\"auc\" checked",
            "name=\"metric\" value=\"loss\">",
            "name=\"param\" value=\"gone\" checked",
            "&amp;columns=chosen&amp;metric=auc&amp;param=gone\"",
            "1 of 2 metrics, 1 of 4 parameters",
        ],
    );
    assert!(!page.0.contains("Order by loss") && page.0.contains("Order by gone"));
    let address = Address::of(&[("columns".to_owned(), "chosen".to_owned())]);
    let bare = run_table::page(&made::run_table(), address.columns, &vera());
    assert!(!bare.0.contains("Order by auc"));
}

#[test]
fn a_table_counts_only_what_is_known() {
    let answer = |count, offset, more, runs: i64| {
        let query = RunTableQuery { offset, ..RunTableQuery::default() };
        let runs = (1..=runs).map(made::run).collect();
        let view = RunTable { query, count, more, runs, ..made::run_table() };
        let page = run_table::page(&view, None, &vera()).into_string();
        let text = page.split("<p class=\"answer\">").nth(1).unwrap();
        text.split("</p>").next().unwrap().to_owned()
    };
    assert_eq!(answer(Some(Count::Exactly(4)), 0, false, 4), "4 runs");
    assert_eq!(answer(Some(Count::Exactly(54)), 50, false, 4), "Runs 51 to 54 of 54 runs");
    assert_eq!(answer(Some(Count::MoreThan(10_000)), 0, true, 4), "Runs 1 to 4 of more than 10,000 runs");
    assert_eq!(answer(None, 0, true, 4), "Runs 1 to 4, and there are more");
    assert_eq!(answer(None, 900, false, 0), "No run here");
    let empty = RunTable { query: RunTableQuery::default(), runs: vec![], more: false, ..made::run_table() };
    says(&run_table::page(&empty, None, &vera()), &["MLFLOW_TRACKING_URI"]);
    let query = RunTableQuery { view: View::Deleted, ..RunTableQuery::default() };
    let deleted = RunTable { query, ..empty };
    says(&run_table::page(&deleted, None, &vera()), &["No run fits", "value=\"deleted\" selected"]);
}

#[test]
fn a_run_shows_its_curves_and_lets_take_its_files_away() {
    let page = run::page(&made::run_view(), &vera());
    insta::assert_snapshot!(content(&page));
    sound(&page);
    says(
        &page,
        &[
            "auc 0.735 · loss 0.133333",
            "3 min 5 s",
            "spread evenly",
            "/file?path=model/MLmodel%20%26%20more\"",
            "?path=model/data#files",
            "812 B",
            "/models/deposit-propensity",
            "training",
        ],
    );
    let mut closed = made::run_view();
    closed.may_download = false;
    let page = run::page(&closed, &vera());
    assert!(!page.0.contains("/file?path="));
    says(&page, &["scientist or operator or admin"]);
    let problem = Some("the files lie at 's3://x', which this server does not read".to_owned());
    closed.folder = Folder { path: String::new(), entries: vec![], more: false, problem };
    closed.run.metrics.clear();
    closed.run.params.clear();
    closed.curves.clear();
    closed.run.info.status = "RUNNING".into();
    closed.run.info.ended_at = None;
    closed.run.info.deleted_at = Some(day(3));
    says(
        &run::page(&closed, &vera()),
        &[
            "which this server does not read",
            "No metric was logged",
            "Running",
            "so far",
            "This run is deleted",
        ],
    );
}

#[test]
fn a_comparison_marks_what_differs_and_draws_it() {
    let page = run_comparison::page(&made::comparison(), &Choice::default(), &vera());
    sound(&page);
    says(
        &page,
        &[
            "2 of 3 parameters differ",
            "2 of 2 metrics differ",
            "1 are the same in every run",
            "tr class=\"differing\"",
            "loss against depth",
            "Parallel coordinates of 4 runs over depth, learner, auc, loss.",
            "Line chart of calm-owl-1, calm-owl-2, calm-owl-3, calm-owl-4 from step 0 to step 40",
            "type=\"hidden\" name=\"run\" value=\"00000000000000000000000000000004\"",
            "series s4",
        ],
    );
    let choice = Choice {
        x: Some("params.learner".into()),
        y: Some("metrics.auc".into()),
        axes: vec!["params.seed".into(), "metrics.auc".into(), "metrics.gone".into()],
        metric: None,
    };
    let page = run_comparison::page(&made::comparison(), &choice, &vera());
    says(&page, &["auc against learner", "over seed, auc.", "value=\"params.seed\" checked"]);
}

#[test]
fn a_comparison_of_one_run_or_none_says_so() {
    let mut one = made::comparison();
    one.runs.truncate(1);
    one.curves.truncate(1);
    one.missing = vec![HOSTILE.to_owned()];
    let page = run_comparison::page(&one, &Choice::default(), &vera());
    sound(&page);
    says(&page, &["one run alone", "There is no run", "<details open"]);
    one.runs.clear();
    one.curves.clear();
    one.metric = None;
    let page = run_comparison::page(&one, &Choice::default(), &vera());
    says(&page, &["No run was named", "tick 2 to 20 runs"]);
}

#[test]
fn models_are_named_safely_in_addresses() {
    let page = model::list_page(&made::model_list(), &vera());
    insta::assert_snapshot!(content(&page));
    says(&page, &["/models/late%20payers%2C%2050%25%20off%3F\"", "champion → 3", "3 Production"]);
    for (name, address) in
        [("a/b", "/models/a%2Fb"), ("ü?#", "/models/%C3%BC%3F%23"), ("v1.2", "/models/v1.2")]
    {
        assert_eq!(model_address(name), address);
    }
    assert_eq!(run_address("a b"), "/runs/a%20b");
    let mut none = made::model_list();
    none.registered.clear();
    none.servable.clear();
    says(&model::list_page(&none, &vera()), &["mlflow.register_model"]);
}

#[test]
fn a_model_says_which_version_is_in_use_and_what_it_earns() {
    let page = model::page(&made::model_view(), "", &vera());
    insta::assert_snapshot!(content(&page));
    sound(&page);
    says(
        &page,
        &[
            "Version 3 decides at calls · champion is version 3",
            "€17,320",
            "grade-A",
            "Assumed, not measured",
            "calls.3",
        ],
    );
    let mut early = made::model_view();
    early.releases.clear();
    early.ledgers.clear();
    early.registered = None;
    says(
        &model::page(&early, "", &vera()),
        &["No version is in use", "greenlight release submit", "Nowhere yet"],
    );
}

#[test]
fn the_history_of_a_model_answers_for_a_day() {
    let page = |on: &str| model::page(&made::model_view(), on, &vera());
    let rows = |on: &str| {
        page(on)
            .0
            .split("Which version was what, when\"")
            .nth(1)
            .unwrap()
            .matches("<th scope=\"row\"")
            .count()
    };
    let all = rows("");
    assert_eq!(rows(&day(12).date().to_string()), all - 2, "version 2 was the champion");
    says(&page("2000-01-01"), &["stage Production"]);
    says(&page("yesterday"), &["“yesterday” is no day"]);
    says(&page(""), &["<b>now</b>", "earlier", "not known"]);
}

#[test]
fn parts_read_well() {
    assert_eq!(how_many(Count::Exactly(1), "run", "runs"), "1 run");
    assert!(moment(day(0)).0.contains(">2009-05-04 00:00<"));
}

#[test]
fn hostile_text_stays_text() {
    let who = actor(HOSTILE, Role::Scientist);
    let mut experiments = made::experiments();
    experiments.part = HOSTILE.into();
    experiments.lines[0].experiment.name = HOSTILE.into();
    let mut table = made::run_table();
    table.query.filter = HOSTILE.into();
    table.query.order = HOSTILE.into();
    table.problem = Some(HOSTILE.into());
    let mut shown = made::run_table();
    for run in &mut shown.runs {
        run.info.name = HOSTILE.into();
        run.info.status = HOSTILE.into();
        run.params[0] = (HOSTILE.into(), HOSTILE.into());
        run.metrics[0].key = HOSTILE.into();
    }
    let mut view = made::run_view();
    view.run = shown.runs[0].clone();
    view.curves[0].key = HOSTILE.into();
    view.folder.path = HOSTILE.into();
    view.folder.entries[0].name = HOSTILE.into();
    view.folder.entries[1].name = HOSTILE.into();
    view.uses[0].name = HOSTILE.into();
    let mut compared = made::comparison();
    compared.runs.clone_from(&shown.runs);
    compared.metric = Some(HOSTILE.into());
    let axes = vec![format!("params.{HOSTILE}"), format!("metrics.{HOSTILE}")];
    let choice = Choice { x: Some(axes[0].clone()), y: Some(axes[1].clone()), axes, metric: None };
    let mut list = made::model_list();
    list.registered[0].name = HOSTILE.into();
    list.registered[0].aliases[0].0 = HOSTILE.into();
    let mut model_view = made::model_view();
    model_view.name = HOSTILE.into();
    model_view.versions[0].tags[0] = (HOSTILE.into(), HOSTILE.into());
    model_view.versions[0].run_id = Some(HOSTILE.into());
    for page in [
        experiment::page(&experiments, &who),
        run_table::page(&table, None, &who),
        run_table::page(&shown, None, &who),
        run::page(&view, &who),
        run_comparison::page(&compared, &choice, &who),
        model::list_page(&list, &who),
        model::page(&model_view, HOSTILE, &who),
    ] {
        sound(&page);
    }
}
