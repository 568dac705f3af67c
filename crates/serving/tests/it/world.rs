//! A made-up world: clients arrive, the endpoint decides, and those who are called buy with their true probability.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use greenlight_app::outcome::{PostedOutcome, record};
use greenlight_app::release::{
    Decide, ReleaseView, SubmitRelease, decide, judge_shadow, start_shadow, submit,
};
use greenlight_app::{App, AppError, rollout, settle, training};
use greenlight_domain::endpoint::EndpointSpec;
use greenlight_domain::frame::Column;
use greenlight_domain::manifest::Document;
use greenlight_domain::prediction::PredictionId;
use greenlight_domain::role::{Actor, Role};
use greenlight_domain::time::{DAY_US, Micros};
use greenlight_serving::{Answer, Request, Serving, ServingError};
use greenlight_testkit::{TestApp, actor};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

pub(crate) struct World {
    pub(crate) test: TestApp,
    pub(crate) serving: Serving,
    pub(crate) random: StdRng,
    pub(crate) now: Micros,
    /// What the world owes: outcomes by the day on which they are due.
    due: BTreeMap<i32, Vec<PostedOutcome>>,
    next_client: usize,
}

pub(crate) fn dana() -> Actor {
    actor("dana", Role::Scientist)
}
pub(crate) fn olga() -> Actor {
    actor("olga", Role::Operator)
}

impl World {
    pub(crate) async fn begin(seed: u64) -> Self {
        let test = TestApp::with_calls().await;
        let serving = Serving::start(Arc::clone(&test.app));
        Self {
            test,
            serving,
            random: StdRng::seed_from_u64(seed),
            now: "2021-01-01".parse().unwrap(),
            due: BTreeMap::new(),
            next_client: 0,
        }
    }

    pub(crate) fn app(&self) -> &App {
        &self.test.app
    }

    /// Trains the model of that name and submits a release of it.
    pub(crate) async fn submit(&self, training: &str) -> ReleaseView {
        let trained = training::train(self.app(), &dana(), training).await.unwrap();
        let request = SubmitRelease { endpoint: "calls".into(), model: trained.model.reference() };
        submit(self.app(), &dana(), request).await.unwrap()
    }

    /// Brings a gated release through shadow and approvals to its first traffic.
    pub(crate) async fn bring_to_rollout(&mut self, id: &str) {
        self.bring_to_approval(id).await;
        rollout::start(self.app(), &olga(), id).await.unwrap();
    }

    /// Brings a gated release through shadow and approvals.
    pub(crate) async fn bring_to_approval(&mut self, id: &str) {
        start_shadow(self.app(), &dana(), id).await.unwrap();
        let before = self.mirrored();
        for _ in 0..5 {
            self.day(20, |score| score).await;
        }
        self.wait_for_shadow(before + 100).await;
        judge_shadow(self.app(), &dana(), id).await.unwrap();
        for name in ["ada", "bo"] {
            let yes = Decide { approved: true, comment: String::new() };
            decide(self.app(), &actor(name, Role::Approver), id, yes).await.unwrap();
        }
    }

    /// Submits a release and brings it to its last step.
    pub(crate) async fn bring_to_live(&mut self) -> String {
        let id = self.submit("honest").await.release.id;
        self.bring_to_rollout(&id).await;
        for _ in 0..60 {
            self.day(60, |score| score).await;
            self.settle().await;
            rollout::look(self.app(), &olga(), &id).await.unwrap();
        }
        id
    }

    /// Applies the endpoint with other settings.
    pub(crate) async fn change_endpoint(&self, change: impl Fn(&mut EndpointSpec)) -> Result<(), AppError> {
        self.add_endpoint("calls", change).await
    }

    /// Applies an endpoint like `calls` under another name.
    pub(crate) async fn add_endpoint(
        &self,
        as_name: &str,
        change: impl Fn(&mut EndpointSpec),
    ) -> Result<(), AppError> {
        let mut documents = greenlight_testkit::documents("00");
        documents.retain(|document| matches!(document, Document::Endpoint { .. }));
        for document in &mut documents {
            if let Document::Endpoint { name, spec } = document {
                as_name.clone_into(name);
                change(spec);
            }
        }
        greenlight_app::apply::apply(self.app(), &dana(), &documents).await.map(|_| ())
    }

    /// Lets the shadow's worker catch up; it runs after the response, so a test has to wait for it.
    pub(crate) async fn wait_for_shadow(&self, rows: usize) {
        for _ in 0..10_000 {
            if self.mirrored() >= rows {
                return;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        panic!("{} of {rows} rows were mirrored", self.mirrored());
    }

    fn mirrored(&self) -> usize {
        self.test.lake.predictions("calls").iter().filter(|p| p.mirrors.is_some()).count()
    }

    /// The unit that comes next.
    pub(crate) fn next_unit(&self) -> String {
        format!("client-{}", self.next_client)
    }

    /// One day: `clients` arrive, those who are called buy with their true probability, which the client's record
    /// shows through `sent` (a feed that breaks sends something else).
    pub(crate) async fn day(&mut self, clients: usize, sent: impl Fn(f64) -> f64) -> Answer {
        let truths: Vec<f64> = (0..clients).map(|_| self.random.random_range(0.0..1.0)).collect();
        let units = (0..clients).map(|i| Some(format!("client-{}", self.next_client + i).into())).collect();
        self.next_client += clients;
        let at = self.now;
        let request = Request {
            columns: vec![
                ("client".into(), Column::Text(units)),
                ("at".into(), Column::Number(vec![at.0 as f64; clients])),
                ("score".into(), Column::Number(truths.iter().map(|t| sent(*t)).collect())),
                ("noise".into(), Column::Number(vec![0.5; clients])),
            ],
            rows: clients,
            trace: None,
        };
        let answer = self.infer(request).await.unwrap();
        for (row, truth) in answer.batch.predictions.iter().zip(truths) {
            if row.decision.as_ref() == "call" {
                let value = f64::from(u8::from(self.random.random_bool(truth)));
                self.owe(row.id, value, at);
            }
        }
        self.now = at.plus_days(1);
        self.pay().await;
        answer
    }

    /// Asks the endpoint `calls`.
    pub(crate) async fn infer(&self, request: Request<'_>) -> Result<Answer, ServingError> {
        let endpoint = self.test.app.live.get("calls").unwrap();
        self.serving.infer(&endpoint, request).await
    }

    fn owe(&mut self, id: PredictionId, value: f64, at: Micros) {
        let delay = self.random.random_range(1..=5);
        let happens = Micros(at.0 + delay * DAY_US);
        let post = PostedOutcome {
            prediction_id: Some(id.to_string()),
            unit: None,
            name: "bought".into(),
            value,
            at: happens,
        };
        if self.random.random_bool(0.1) {
            self.due.entry(happens.day() + 1).or_default().push(post.clone());
        }
        self.due.entry(happens.day()).or_default().push(post);
    }

    async fn pay(&mut self) {
        let later = self.due.split_off(&self.now.day());
        for (_, posts) in std::mem::replace(&mut self.due, later) {
            record(self.app(), &olga(), "calls", posts).await.unwrap();
        }
    }

    pub(crate) async fn settle(&self) -> settle::Settled {
        settle::settle(self.app(), &olga(), "calls").await.unwrap()
    }
}
