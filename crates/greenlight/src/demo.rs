//! The demo: one lap of the loop on real data, driven over HTTP by five people with five tokens.

mod people;
pub(crate) mod report;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Instant;

use greenlight_domain::time::Micros;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::replay::{Replay, Script};
use crate::server::{self, Running, Settings};
use crate::{manifest, replay};
use people::People;

/// How the demo is run.
#[derive(Debug, Clone)]
pub(crate) struct Demo {
    /// Folder of the manifests.
    pub manifests: PathBuf,
    /// Folder of the data; a temporary one when absent.
    pub data: Option<PathBuf>,
    /// Address.
    pub listen: SocketAddr,
    /// End after the report instead of serving on.
    pub exit: bool,
    /// Print the report as JSON.
    pub json: bool,
}

const ENDPOINT: &str = "term-deposit-calls";
const TRAININGS: [&str; 3] = ["calls-logistic", "calls-boosted", "calls-boosted-duration"];
const TRAFFIC_FROM: &str = "2009-05-01";
const TRAFFIC_UNTIL: &str = "2010-12-01";
const SEED: u64 = 7;

/// Runs the demo.
pub(crate) async fn run(demo: Demo) -> Result<(), Failure> {
    let started = Instant::now();
    let temporary = tempfile::Builder::new().prefix("greenlight-demo-").tempdir()?;
    let data = demo.data.clone().unwrap_or_else(|| temporary.path().to_owned());
    let settings = Settings { data, database: None, online: None, listen: demo.listen, settle_every: None };
    let running = server::start(&settings).await?;
    let Some(first) = &running.first_token else {
        let problem = "this data folder has been used before; the demo needs an empty one (leave --data out)";
        return Err(Failure::Input(problem.to_owned()));
    };
    let people = People::hire(&running.url, &first.token).await?;
    let say = Teller { quiet: demo.json };
    let manifests = manifest::read(&demo.manifests)?;
    apply(&say, &people, &manifests).await?;
    train(&say, &people).await?;
    let survivor = submit(&say, &people).await?;
    let mut replay = open_replay(&running, &people, &manifests).await?;
    shadow(&say, &people, &mut replay, &survivor).await?;
    approve(&say, &people, &survivor).await?;
    roll_out(&say, &people, &mut replay, &survivor).await?;
    let ledger = people.viewer.get(&format!("/v1/endpoints/{ENDPOINT}/ledger")).await?;
    let release = people.viewer.get(&format!("/v1/releases/{survivor}")).await?;
    if demo.json {
        println!(
            "{}",
            json!({ "ledger": ledger, "release": release, "seconds": started.elapsed().as_secs_f64(), "tokens": people.tokens })
        );
    } else {
        println!("{}", report::ledger(&ledger, &release));
        println!(
            "One lap in {:.0} seconds: {} predictions, {} outcomes posted.\n",
            started.elapsed().as_secs_f64(),
            replay.sent,
            replay.posted
        );
    }
    serve_on(&demo, running, &people).await
}

/// Speaks to the person in front of the terminal, unless a script reads.
struct Teller {
    quiet: bool,
}

impl Teller {
    fn heading(&self, text: &str) {
        if !self.quiet {
            println!("\n{text}");
        }
    }

    fn line(&self, text: &str) {
        if !self.quiet {
            println!("  {text}");
        }
    }

    fn bar(&self, total: usize) -> ProgressBar {
        let bar = if self.quiet { ProgressBar::hidden() } else { ProgressBar::new(total as u64) };
        if let Ok(style) = ProgressStyle::with_template("  {bar:30} {pos}/{len} calls  {msg}") {
            bar.set_style(style.progress_chars("━━ "));
        }
        bar
    }
}

async fn apply(say: &Teller, people: &People, manifests: &manifest::Manifests) -> Result<(), Failure> {
    say.heading("1. A business case, a data set with its contract, a policy, an endpoint (greenlight apply)");
    manifest::upload(&people.scientist, manifests).await?;
    let body = json!({ "documents": manifests.documents });
    for change in list(&people.scientist.post("/v1/plan", &body).await?) {
        say.line(&format!(
            "will {:9} {} {}",
            text(&change, "action"),
            text(&change, "kind"),
            text(&change, "name")
        ));
    }
    people.scientist.post("/v1/apply", &body).await?;
    say.line("applied in one transaction");
    Ok(())
}

async fn train(say: &Teller, people: &People) -> Result<(), Failure> {
    say.heading("2. Three models, trained in process on calls before November 2008");
    for name in TRAININGS {
        let started = Instant::now();
        let trained = people.scientist.post(&format!("/v1/trainings/{name}/runs"), &json!({})).await?;
        let metric = |wanted: &str| {
            let metrics = list(&trained["run"]["metrics"]);
            metrics.iter().find(|m| m[0] == wanted).and_then(|m| m[1].as_f64()).unwrap_or_default()
        };
        say.line(&format!(
            "{name:24} run {}  training AUC {:.3}  {} KiB  {:.1} s",
            &text(&trained["run"], "id")[..8],
            metric("training_auc"),
            trained["model"]["size_bytes"].as_i64().unwrap_or_default() / 1024,
            started.elapsed().as_secs_f64()
        ));
    }
    Ok(())
}

async fn submit(say: &Teller, people: &People) -> Result<String, Failure> {
    say.heading("3. Three releases; the gates judge each on November 2008 to April 2009");
    let mut survivor: Option<(f64, String)> = None;
    for name in TRAININGS {
        let body = json!({ "endpoint": ENDPOINT, "model": format!("{name}@1") });
        let release = people.scientist.post("/v1/releases", &body).await?;
        let passed = text(&release, "stage") == "gated";
        say.line(&format!("{} {name} ({})", if passed { "✔" } else { "✘" }, text(&release, "id")));
        for evidence in list(&release["evidence"]) {
            let mark = if evidence["passed"] == true { "passed " } else { "stopped" };
            say.line(&format!("    {:8} {mark} {}", text(&evidence, "gate"), text(&evidence, "summary")));
            let all = &evidence["detail"]["all"];
            if let (Some(auc), false) = (all["auc"].as_f64(), evidence["passed"] == true) {
                say.line(&format!("             AUC in history {auc:.3}"));
            }
            let gain = all["gain_minor"].as_f64().unwrap_or(f64::MIN);
            if passed && all.is_object() && survivor.as_ref().is_none_or(|(best, _)| gain > *best) {
                survivor = Some((gain, text(&release, "id")));
            }
        }
    }
    survivor.map(|(_, id)| id).ok_or_else(|| Failure::Input("no release passed its gates".to_owned()))
}

async fn open_replay(
    running: &Running,
    people: &People,
    manifests: &manifest::Manifests,
) -> Result<Replay, Failure> {
    let (_, file) = manifests
        .files
        .first()
        .ok_or_else(|| Failure::Input("the manifests name no data file".to_owned()))?;
    let live = running
        .app
        .live
        .get(ENDPOINT)
        .ok_or_else(|| Failure::Input("the endpoint is not live".to_owned()))?;
    let script = Script {
        endpoint: ENDPOINT.to_owned(),
        unit: live.spec.unit.clone(),
        event_time: live.spec.event_time.clone().unwrap_or_default(),
        outcome: "subscribed".to_owned(),
        features: live.features.iter().map(|f| f.name.to_string()).collect(),
        time: "date".to_owned(),
        truth: ("y".to_owned(), "yes".to_owned()),
        acts_on: "call".to_owned(),
        seed: SEED,
    };
    let window = (day(TRAFFIC_FROM)?, day(TRAFFIC_UNTIL)?);
    let scratch = tempfile::tempdir()?;
    let lake = replay::reader(scratch.path())?;
    Replay::read(lake.as_ref(), file, script, people.operator.clone(), window).await
}

async fn shadow(say: &Teller, people: &People, replay: &mut Replay, release: &str) -> Result<(), Failure> {
    say.heading("4. Shadow: the calls from May 2009 on arrive over HTTP; the model scores beside them and decides nothing");
    let view = people.scientist.post(&format!("/v1/releases/{release}/shadow"), &json!({})).await?;
    let needed = view["policy_spec"]["shadow"]["min_predictions"].as_u64().unwrap_or_default() as usize;
    let judge = format!("/v1/releases/{release}/shadow/judge");
    let bar = say.bar(replay.total());
    let judged = loop {
        let Some(today) = replay.day().await? else {
            return Err(Failure::Input("the history ended before the shadow had seen enough".to_owned()));
        };
        bar.set_position(replay.sent as u64);
        bar.set_message(format!("{} shadow", today.date()));
        if replay.sent < needed {
            continue;
        }
        // The shadow scores after the response and may be a little behind; then another day has to pass.
        match people.scientist.post(&judge, &json!({})).await {
            Ok(judged) => break judged,
            Err(Failure::Server { status: 409, .. }) => {}
            Err(failure) => return Err(failure),
        }
    };
    bar.finish_and_clear();
    if let Some(evidence) = list(&judged["evidence"]).last() {
        let mark = if evidence["passed"] == true { "passed " } else { "stopped" };
        say.line(&format!("shadow   {mark} {}", text(evidence, "summary")));
    }
    Ok(())
}

async fn approve(say: &Teller, people: &People, release: &str) -> Result<(), Failure> {
    say.heading("5. Two people other than the author approve; the rollout steps 10 → 50 → 90 % against a permanent holdout");
    let path = format!("/v1/releases/{release}/decisions");
    let own = people.scientist.post(&path, &json!({ "approved": true, "comment": "mine" })).await;
    match own {
        Err(refused) => say.line(&format!("the author tries to approve: {refused}")),
        Ok(_) => return Err(Failure::Input("the author could approve the own release".to_owned())),
    }
    for (name, client) in [("ada", &people.first_approver), ("bo", &people.second_approver)] {
        let comment = "history and shadow read; the holdout stays";
        let view = client.post(&path, &json!({ "approved": true, "comment": comment })).await?;
        say.line(&format!("{name} approves: {}", text(&view, "stage").replace('_', " ")));
    }
    people.operator.post(&format!("/v1/releases/{release}/rollout"), &json!({})).await?;
    Ok(())
}

async fn roll_out(say: &Teller, people: &People, replay: &mut Replay, release: &str) -> Result<(), Failure> {
    let bar = say.bar(replay.total());
    let settle = format!("/v1/endpoints/{ENDPOINT}/settle");
    let look = format!("/v1/releases/{release}/rollout/look");
    let mut ended = false;
    while let Some(today) = replay.day().await? {
        people.operator.post(&settle, &json!({})).await?;
        let mut percent = 0;
        if !ended {
            let looked = people.operator.post(&look, &json!({})).await?;
            percent = looked["percent"].as_u64().unwrap_or_default();
            let action = text(&looked, "action");
            if action != "hold" {
                let line = format!("  {}  {action}: {}", today.date(), text(&looked, "reason"));
                if !say.quiet && (action != "finish" || !ended) {
                    bar.suspend(|| println!("{line}"));
                }
                ended = action != "advance";
            }
        }
        bar.set_position(replay.sent as u64);
        bar.set_message(if ended {
            format!("{}", today.date())
        } else {
            format!("{} at {percent} %", today.date())
        });
    }
    replay.finish().await?;
    people.operator.post(&settle, &json!({})).await?;
    bar.finish_and_clear();
    Ok(())
}

async fn serve_on(demo: &Demo, running: Running, people: &People) -> Result<(), Failure> {
    if !demo.exit {
        println!("Pages:  {}/", running.url);
        println!("Sign in with this token (viewer): {}", people.tokens["viewer"]);
        println!(
            "An approver, an operator and a scientist have theirs; issue more with 'greenlight token issue'."
        );
        println!("Serving until you press Ctrl-C.");
        tokio::signal::ctrl_c().await?;
    } else if !demo.json {
        println!("Pages:  {}/ (ended now; leave --exit out to look at them)", running.url);
    }
    running.stop().await
}

pub(crate) fn text(value: &Value, key: &str) -> String {
    value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn list(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}

fn day(date: &str) -> Result<Micros, Failure> {
    date.parse().map_err(|e: greenlight_domain::DomainError| Failure::Input(e.to_string()))
}
