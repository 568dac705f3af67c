//! Versions of the registry on their way to an endpoint.

use std::convert::Infallible;

use bytes::Bytes;
use futures::stream;
use greenlight_app::model::{self, RegisterModel};
use greenlight_app::registered_model::RegisterName;
use greenlight_app::registered_version::CreateVersion;
use greenlight_app::release::{self, SubmitRelease};
use greenlight_app::run::{Batch, CreateRun};
use greenlight_app::run_input::{LoggedDataset, RunInput};
use greenlight_app::{AppError, registered_model, registered_version, run, run_input};
use greenlight_domain::frame::Field;
use greenlight_domain::role::{Actor, Role};
use greenlight_testkit::{TestApp, actor, artifact};

const UNTIL: (&str, &str) = ("greenlight.trained_until", "2020-11-01");

struct World {
    test: TestApp,
    dana: Actor,
}

impl World {
    async fn start() -> Self {
        Self { test: TestApp::with_calls().await, dana: actor("dana", Role::Scientist) }
    }

    /// A run with tags that says it read these data sets, each by its name or its URL.
    async fn run(&self, tags: &[(&str, &str)], datasets: &[(&str, &str)]) -> run::RunRecord {
        let app = &self.test.app;
        let made = run::create(app, &self.dana, CreateRun::default()).await.unwrap();
        let id = made.info.id.clone();
        let batch = Batch { tags: tags.to_vec(), params: vec![("depth", "3")], ..Batch::default() };
        run::log(app, &self.dana, &id, batch).await.unwrap();
        let input = |(name, context): &(&str, &str)| RunInput {
            dataset: LoggedDataset {
                name: if name.contains('/') { "dataset" } else { *name }.to_owned(),
                digest: "d".to_owned(),
                source_type: "code".to_owned(),
                source: serde_json::json!({ "url": name }).to_string(),
                schema: String::new(),
                profile: String::new(),
            },
            tags: vec![("mlflow.data.context".to_owned(), (*context).to_owned())],
        };
        let inputs = datasets.iter().map(input).collect();
        run_input::log_inputs(app, &self.dana, &id, inputs, &[]).await.unwrap();
        made
    }

    async fn put(&self, folder: &str, name: &str, bytes: Vec<u8>) {
        let uri = folder.strip_prefix("mlflow-artifacts:/").unwrap();
        let parts = uri.split('/').chain([name]).map(str::to_owned).collect();
        let whole = stream::iter([Ok::<_, Infallible>(Bytes::from(bytes))]);
        self.test.app.repository.put(parts, whole).await.unwrap();
    }

    /// Logs a model of these columns to a run, and registers it as the next version of `churn`.
    async fn register(&self, run: &run::RunRecord, mlmodel: &str, columns: &[&str]) {
        let app = &self.test.app;
        let folder = format!("{}/model", run.info.artifact_uri);
        self.put(&folder, "MLmodel", mlmodel.as_bytes().to_vec()).await;
        let fields: Vec<Field> = columns.iter().map(|name| Field::number(name)).collect();
        self.put(&folder, "model.lgb", artifact(&fields)).await;
        let name = RegisterName { name: "churn".to_owned(), description: String::new(), tags: Vec::new() };
        let _ = registered_model::create(app, &self.dana, name).await;
        let version = CreateVersion {
            name: "churn".to_owned(),
            source: folder,
            run_id: Some(run.info.id.clone()),
            ..CreateVersion::default()
        };
        registered_version::create(app, &self.dana, version).await.unwrap();
    }

    async fn serve(&self, from: &str) -> Result<greenlight_app::training::Trained, AppError> {
        let request = RegisterModel { from: Some(from.to_owned()), ..RegisterModel::default() };
        model::register(&self.test.app, &self.dana, "churn", request).await
    }
}

const BOOSTER: &str = "flavors:\n  lightgbm:\n    data: model.lgb\n";

fn refused(error: &AppError, words: &[&str]) {
    let said = error.to_string();
    assert!(words.iter().all(|word| said.contains(word)), "{said}");
}

#[tokio::test]
async fn a_version_is_served_by_the_run_that_made_it_and_only_once() {
    let world = World::start().await;
    let tags = [UNTIL, ("greenlight.initiative", "calls")];
    let run = world.run(&tags, &[("history@1", "training"), ("other@1", "training")]).await;
    world.register(&run, BOOSTER, &["score"]).await;
    let app = &world.test.app;
    registered_model::set_alias(app, &world.dana, "churn", "champion", "1").await.unwrap();

    let made = world.serve("models:/churn@champion").await.unwrap();
    assert!(!made.existing);
    assert_eq!((made.model.reference(), &made.model.run_id), ("churn@1".to_owned(), &run.info.id));
    assert_eq!((made.model.dataset.as_str(), made.run.dataset.as_str()), ("history@1", "history@1"));
    assert_eq!(made.model.trained_until, "2020-11-01".parse().unwrap());
    assert_eq!(made.run.initiative, "calls");
    assert_eq!(made.run.params, [("depth".to_owned(), "3".to_owned())], "the run keeps what was logged");
    assert!(made.run.metrics.is_empty(), "and gets nothing more");
    assert_eq!(made.model.registered.as_ref().unwrap().uri(), "models:/churn/1");

    let again = world.serve("models:/churn/1").await.unwrap();
    assert!(again.existing);
    assert_eq!(again.model, made.model);
    let other = RegisterModel {
        from: Some("models:/churn/1".to_owned()),
        trained_until: Some("2020-10-01".parse().unwrap()),
        ..RegisterModel::default()
    };
    let other = model::register(app, &world.dana, "churn", other).await.unwrap();
    assert_eq!((other.existing, other.model.version), (false, 2), "something else was said of it");
}

#[tokio::test]
async fn a_release_finds_or_makes_the_version_that_it_needs() {
    let world = World::start().await;
    let place = "https://models.example/v1/datasets/history/versions/1/content";
    let run = world.run(&[UNTIL], &[(place, "train"), ("other", "eval")]).await;
    world.register(&run, BOOSTER, &["score"]).await;
    let submit = || {
        let request =
            SubmitRelease { endpoint: "calls".to_owned(), model: "models:/churn/latest".to_owned() };
        release::submit(&world.test.app, &world.dana, request)
    };
    let (first, second) = (submit().await.unwrap(), submit().await.unwrap());
    assert_eq!((first.release.model.as_str(), first.release.model_version), ("churn", 1));
    assert_eq!(second.release.model_version, 1, "it is registered once");
}

#[tokio::test]
async fn what_a_run_does_not_say_has_to_be_said() {
    let world = World::start().await;
    let run = world.run(&[], &[("elsewhere", "training")]).await;
    world.register(&run, BOOSTER, &["score"]).await;
    let command = "greenlight model register --from models:/churn/1 --dataset NAME@1 --trained-until";
    refused(&world.serve("models:/churn/1").await.unwrap_err(), &["dataset", "trained_until", command]);
    let submitted = SubmitRelease { endpoint: "calls".to_owned(), model: "models:/churn/1".to_owned() };
    let error = release::submit(&world.test.app, &world.dana, submitted).await.unwrap_err();
    refused(&error, &[command]);
    let said = RegisterModel {
        from: Some("models:/churn/1".to_owned()),
        dataset: "history@1".to_owned(),
        trained_until: Some("2020-11-01".parse().unwrap()),
        ..RegisterModel::default()
    };
    let made = model::register(&world.test.app, &world.dana, "calls-trees", said.clone()).await.unwrap();
    assert_eq!(made.model.reference(), "calls-trees@1");
    assert!(world.test.app.artifacts.has(&made.model.sha256).await.unwrap());
    let error = model::register(&world.test.app, &world.dana, "Calls trees", said).await.unwrap_err();
    refused(&error, &["--name NAME"]);

    let run = world.run(&[("greenlight.trained_until", "soon")], &[("history@1", "training")]).await;
    world.register(&run, BOOSTER, &["score"]).await;
    refused(&world.serve("models:/churn/2").await.unwrap_err(), &["greenlight.trained_until", "soon"]);
}

#[tokio::test]
async fn unnamed_columns_get_the_names_of_the_signature() {
    let world = World::start().await;
    let run = world.run(&[UNTIL], &[("history@1", "training")]).await;
    world.register(&run, BOOSTER, &["x[0]", "x[1]"]).await;
    refused(&world.serve("models:/churn/1").await.unwrap_err(), &["x[0]", "history@1", "signature"]);
    let inputs = r#"[{"type": "double", "name": "score"}, {"type": "double", "name": "noise"}]"#;
    let named = format!("{BOOSTER}signature:\n  inputs: '{inputs}'\n");
    world.register(&run, &named, &["x[0]", "x[1]"]).await;
    let made = world.serve("models:/churn/2").await.unwrap();
    let names: Vec<&str> = made.model.signature.inputs.iter().map(|field| field.name.as_ref()).collect();
    assert_eq!(names, ["score", "noise"]);
}

#[tokio::test]
async fn what_cannot_be_served_is_refused() {
    let world = World::start().await;
    let run = world.run(&[UNTIL], &[("history@1", "training")]).await;
    world.register(&run, "flavors:\n  sklearn:\n    pickled_model: model.pkl\n", &["score"]).await;
    refused(&world.serve("models:/churn/1").await.unwrap_err(), &["models:/churn/1", "sklearn", "skl2onnx"]);
    world.register(&run, "flavors:\n  lightgbm:\n    data: ../../secret\n", &["score"]).await;
    refused(&world.serve("models:/churn/2").await.unwrap_err(), &["Invalid path"]);
    world.register(&run, "flavors:\n  lightgbm:\n    data: absent.lgb\n", &["score"]).await;
    refused(&world.serve("models:/churn/3").await.unwrap_err(), &["absent.lgb"]);
    for bad in ["churn", "models:/", "models:/m-1", "models:/none@x", "models:/churn/9"] {
        assert!(world.serve(bad).await.is_err(), "{bad}");
    }
    let both = RegisterModel {
        from: Some("models:/churn/1".to_owned()),
        sha256: "00".to_owned(),
        ..RegisterModel::default()
    };
    let error = model::register(&world.test.app, &world.dana, "churn", both).await.unwrap_err();
    refused(&error, &["only one of"]);
}
