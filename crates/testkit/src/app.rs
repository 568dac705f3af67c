//! An application over embedded storage in a temporary folder.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use greenlight_app::artifact::Artifacts;
use greenlight_app::clock::Clock;
use greenlight_app::runtime::ModelRuntime;
use greenlight_app::webhook::{Courier, Reply};
use greenlight_app::{App, Parts};
use greenlight_domain::frame::{Column, Field, Frame};
use greenlight_domain::role::{Actor, Role};
use greenlight_domain::time::{DAY_US, Micros};
use greenlight_store::Store;
use tempfile::TempDir;

use crate::lake::MemoryLake;
use crate::manifests::documents;
use crate::runtime::ColumnRuntime;

/// An application for one test.
pub struct TestApp {
    /// The application.
    pub app: Arc<App>,
    /// Its lake.
    pub lake: Arc<MemoryLake>,
    /// Its clock, which stands still until it is set.
    pub clock: Clock,
    folder: TempDir,
    online: greenlight_online::Store,
}

/// A person of that role, named after it unless `name` says otherwise.
pub fn actor(name: &str, role: Role) -> Actor {
    Actor { name: name.to_owned(), role }
}

impl TestApp {
    /// An empty application.
    pub async fn empty() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let lake = Arc::new(MemoryLake::default());
        let clock = Clock::standing_at("2022-01-01".parse().unwrap());
        // Opened once: a folder belongs to one store at a time, and a restart comes while the old application is alive.
        let place = format!("embedded:{}", folder.path().join("online").display());
        let online = greenlight_online::Store::open(&place).await.unwrap();
        let app = start(&folder, &lake, &online, &clock).await;
        Self { app, lake, clock, folder, online }
    }

    /// An application with the small initiative applied over a year of made-up history.
    pub async fn with_calls() -> Self {
        let test = Self::empty().await;
        test.lake.set_dataset(history(), "day");
        let sha256 = test.app.artifacts.put(Bytes::from_static(b"stands for the file")).await.unwrap();
        let dana = actor("dana", Role::Scientist);
        greenlight_app::apply::apply(&test.app, &dana, &documents(&sha256)).await.unwrap();
        test
    }

    /// The folder of its storage.
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// Another application over the same storage, as a second server has it.
    pub async fn beside(&self) -> Arc<App> {
        start(&self.folder, &self.lake, &self.online, &self.clock).await
    }

    /// Ends the application and starts it again over the same storage.
    pub async fn restart(&mut self) {
        self.app.store.close().await;
        self.app = start(&self.folder, &self.lake, &self.online, &self.clock).await;
    }
}

async fn start(
    folder: &TempDir,
    lake: &Arc<MemoryLake>,
    online: &greenlight_online::Store,
    clock: &Clock,
) -> Arc<App> {
    let url = format!("sqlite:{}", folder.path().join("greenlight.db").display());
    App::start(Parts {
        store: Store::connect(&url).await.unwrap(),
        lake: Arc::clone(lake) as Arc<dyn greenlight_app::lake::Lake>,
        runtime: Arc::new(ColumnRuntime) as Arc<dyn ModelRuntime>,
        artifacts: Artifacts::open(folder.path().join("artifacts")).unwrap(),
        artifact_root: None,
        online: online.clone(),
        courier: Arc::new(Nobody),
        clock: clock.clone(),
        model_memory: 1 << 30,
        anonymous: None,
    })
    .await
    .unwrap()
}

/// Carries nothing anywhere: what a server really sends is tested with a server.
struct Nobody;

#[async_trait]
impl Courier for Nobody {
    async fn check(&self, _url: &str) -> Result<(), String> {
        Ok(())
    }

    async fn post(&self, _url: &str, _headers: &[(&str, String)], _body: String) -> Result<Reply, String> {
        Err("this server sends nothing".to_owned())
    }
}

/// A year of 20 rows a day: `score` runs evenly from 0.025 to 0.975 and is the true share of buyers, by a fixed
/// pattern without randomness; `duration` gives the outcome away; `noise` says nothing.
fn history() -> Frame {
    let begin: Micros = "2020-01-01".parse().unwrap();
    let (mut score, mut noise, mut duration, mut day) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut bought = Vec::new();
    for d in 0..366_i64 {
        for k in 0..20_i64 {
            let p = (k as f64 + 0.5) / 20.0;
            // The golden-ratio sequence spreads the draws of each score evenly over the days.
            let draw = (d as f64 * 0.618_033_988_749_894_9 + k as f64 * 0.381).fract();
            let happened = draw < p;
            score.push(p);
            noise.push(((d * 7 + k * 3) % 10) as f64 / 10.0);
            duration.push(if happened { 300.0 } else { 60.0 });
            day.push((begin.0 + d * DAY_US) as f64);
            bought.push(Some(if happened { "yes" } else { "no" }.into()));
        }
    }
    let fields: Arc<[Field]> = vec![
        Field::number("score"),
        Field::number("noise"),
        Field::number("duration"),
        Field::number("day"),
        Field::text("bought"),
    ]
    .into();
    let columns = vec![
        Column::Number(score),
        Column::Number(noise),
        Column::Number(duration),
        Column::Number(day),
        Column::Text(bought),
    ];
    Frame::new(fields, columns).unwrap()
}
