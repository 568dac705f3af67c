//! Runs of experiments: begin, log, look, end, delete and bring back.
//!
//! What is logged is durable when a function returns. A batch is logged whole or not at all.

use std::collections::BTreeMap;

use greenlight_domain::role::{Action, Actor};
use greenlight_domain::run::{
    MAX_BATCH, MAX_BATCH_PAIRS, MAX_KEY, MAX_PARAM_VALUE, MAX_TAG_VALUE, RunStatus, check_key, check_words,
};
use greenlight_domain::time::Micros;
use greenlight_store::run::NewRun;
use greenlight_store::{Connection, StoreError, Transaction, metric, param, run_tag};
use serde_json::json;

pub use greenlight_store::logged_model::ModelMetric;
pub use greenlight_store::metric::{Latest, Page, Point};
pub use greenlight_store::run::{RunInfo, RunRecord};
pub use greenlight_store::run_model::ModelOutput;

use crate::{App, AppError, allow, experiment, logged_model};

/// The tag that holds a run's name for MLflow's clients.
pub(crate) const NAME_TAG: &str = "mlflow.runName";
/// The tag that holds who started a run.
const USER_TAG: &str = "mlflow.user";
/// The tag that says which initiative a run works for.
const INITIATIVE_TAG: &str = "greenlight.initiative";
/// Most points of one page of a history.
pub const MAX_HISTORY: i64 = 25_000;

/// A run to begin.
#[derive(Debug, Clone, Default)]
pub struct CreateRun {
    /// Number of its experiment.
    pub experiment_id: i64,
    /// Name for people; one is made up when it and its tag are absent.
    pub name: Option<String>,
    /// Who starts it; the actor when absent.
    pub user: Option<String>,
    /// When it started, epoch milliseconds.
    pub start_ms: i64,
    /// Tags.
    pub tags: Vec<(String, String)>,
}

/// What is logged to a run at once.
#[derive(Debug, Clone, Default)]
pub struct Batch<'a> {
    /// Points of metrics.
    pub metrics: Vec<Point<'a>>,
    /// Parameters.
    pub params: Vec<(&'a str, &'a str)>,
    /// Tags.
    pub tags: Vec<(&'a str, &'a str)>,
    /// Points that were measured of logged models, which are points of the run too.
    pub of_models: Vec<OfModel<'a>>,
    /// Whether it is one thing that was logged by itself; refusals then do not count.
    pub single: bool,
}

/// Which model a point was measured of, and on what.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OfModel<'a> {
    /// The point.
    pub point: Point<'a>,
    /// Id of the logged model.
    pub model_id: &'a str,
    /// Name of the data set it was measured on; may be empty.
    pub dataset_name: &'a str,
    /// Digest of that data set; may be empty.
    pub dataset_digest: &'a str,
}

/// What changes of a run; the rest stays.
#[derive(Debug, Clone, Default)]
pub struct UpdateRun {
    /// How far it is.
    pub status: Option<RunStatus>,
    /// When it ended, epoch milliseconds.
    pub end_ms: Option<i64>,
    /// Name for people.
    pub name: Option<String>,
}

pub(crate) fn micros(epoch_ms: i64) -> Micros {
    Micros(epoch_ms.saturating_mul(1_000))
}

/// Begins a run.
pub async fn create(app: &App, actor: &Actor, new: CreateRun) -> Result<RunRecord, AppError> {
    allow(actor, Action::Train)?;
    let mut tags: BTreeMap<String, String> = BTreeMap::new();
    for (key, value) in new.tags {
        check_tag(&key, &value)?;
        tags.insert(key, value);
    }
    let given = new.name.filter(|name| !name.is_empty());
    if let (Some(name), Some(tag)) = (&given, tags.get(NAME_TAG))
        && name != tag
    {
        return Err(AppError::Invalid(format!(
            "run_name is '{name}' and the tag {NAME_TAG} says '{tag}'; send one of them, or the same twice"
        )));
    }
    let name = given.or_else(|| tags.get(NAME_TAG).cloned()).unwrap_or_else(made_up_name);
    tags.insert(NAME_TAG.to_owned(), name.clone());
    let author = new.user.filter(|user| !user.is_empty()).unwrap_or_else(|| actor.name.clone());
    let id = uuid::Uuid::now_v7().simple().to_string();
    let mut transaction = app.store.begin().await?;
    let begun = NewRun {
        id: &id,
        experiment_id: new.experiment_id,
        name: &name,
        author: &author,
        started_at: micros(new.start_ms),
    };
    let Some((number, location)) = greenlight_store::run::create_in_active(&mut transaction, begun).await?
    else {
        let found = experiment::find_active(&mut transaction, new.experiment_id).await?;
        return Err(AppError::Internal(format!("experiment {} was not there and is", found.id)));
    };
    let pairs: Vec<(&str, &str)> = tags.iter().map(|(key, value)| (&**key, &**value)).collect();
    run_tag::set(&mut transaction, number, &pairs).await?;
    note_initiative(&mut transaction, number, &pairs).await?;
    transaction.commit().await.map_err(StoreError::from)?;
    Ok(RunRecord::begun(number, begun, &location, tags.into_iter().collect()))
}

/// Two words and a number: easy to say, and rarely the same twice.
pub(crate) fn made_up_name() -> String {
    const MOODS: [&str; 16] = [
        "able", "bold", "brisk", "calm", "clever", "eager", "fair", "gentle", "keen", "lively", "merry",
        "patient", "quick", "serene", "steady", "witty",
    ];
    const BIRDS: [&str; 16] = [
        "crane", "dove", "eagle", "finch", "gull", "heron", "ibis", "jay", "kite", "lark", "owl", "plover",
        "robin", "stork", "swift", "wren",
    ];
    let bits: u32 = rand::random();
    let word = |words: &[&'static str; 16], shift: u32| words[(bits >> shift) as usize % words.len()];
    format!("{}-{}-{}", word(&MOODS, 0), word(&BIRDS, 4), (bits >> 8) % 1_000)
}

fn check_tag(key: &str, value: &str) -> Result<(), AppError> {
    check_key("key", "key", key)?;
    Ok(check_words("value", value, MAX_TAG_VALUE)?)
}

/// The first `most` characters. MLflow cuts long values rather than refusing them, and its clients count on that.
fn shortened(value: &str, most: usize) -> &str {
    value.char_indices().nth(most).map_or(value, |(end, _)| &value[..end])
}

pub(crate) async fn find(connection: &mut Connection, id: &str) -> Result<RunInfo, AppError> {
    let found = greenlight_store::run::info(connection, id).await?;
    found.ok_or_else(|| AppError::not_found("run", id, ""))
}

/// The same, refused when it is deleted.
pub(crate) async fn find_active(connection: &mut Connection, id: &str) -> Result<RunInfo, AppError> {
    let found = find(connection, id).await?;
    if found.deleted_at.is_none() {
        return Ok(found);
    }
    Err(AppError::Invalid(format!(
        "The run {} must be in the 'active' state. Current state is deleted.",
        found.id
    )))
}

/// Refuses what can be no id of a run, before a list of things is read for it.
pub(crate) fn check_id(id: &str) -> Result<(), AppError> {
    let mut letters = id.chars();
    let begins = letters.next().is_some_and(|c| c.is_ascii_alphanumeric());
    if begins && id.chars().count() <= 256 && letters.all(|c| c.is_alphanumeric() || matches!(c, '_' | '-')) {
        return Ok(());
    }
    let shown: String = id.chars().take(300).collect();
    Err(AppError::Invalid(format!("Invalid value {} for parameter 'run_id' supplied.", json!(shown))))
}

async fn record(connection: &mut Connection, id: &str) -> Result<RunRecord, AppError> {
    let info = find(connection, id).await?;
    let mut records = greenlight_store::run::records(connection, vec![info]).await?;
    records.pop().ok_or_else(|| AppError::not_found("run", id, ""))
}

/// A run with what was logged to it, deleted or not.
pub async fn get(app: &App, actor: &Actor, id: &str) -> Result<RunRecord, AppError> {
    allow(actor, Action::Read)?;
    let mut connection = app.store.read().await?;
    record(&mut connection, id).await
}

/// Changes status, end or name of a run.
pub async fn update(app: &App, actor: &Actor, id: &str, change: UpdateRun) -> Result<RunInfo, AppError> {
    allow(actor, Action::Train)?;
    let mut transaction = app.store.begin().await?;
    let mut info = find_active(&mut transaction, id).await?;
    if let Some(status) = change.status {
        status.as_str().clone_into(&mut info.status);
    }
    if let Some(end_ms) = change.end_ms {
        info.ended_at = Some(micros(end_ms));
    }
    if let Some(name) = change.name.filter(|name| !name.is_empty()) {
        check_tag(NAME_TAG, &name)?;
        run_tag::set(&mut transaction, info.number, &[(NAME_TAG, &name)]).await?;
        info.name = name;
    }
    greenlight_store::run::update(&mut transaction, &info).await?;
    transaction.commit().await.map_err(StoreError::from)?;
    Ok(info)
}

/// Deletes a run. It can be brought back.
pub async fn delete(app: &App, actor: &Actor, id: &str) -> Result<(), AppError> {
    allow(actor, Action::Train)?;
    let mut transaction = app.store.begin().await?;
    let info = find(&mut transaction, id).await?;
    let now = app.clock.now();
    greenlight_store::run::set_deleted(&mut transaction, info.number, Some(now)).await?;
    app.audit(&mut transaction, actor, "run.delete", id, json!({})).await?;
    transaction.commit().await.map_err(StoreError::from)?;
    Ok(())
}

/// Brings a deleted run back.
pub async fn restore(app: &App, actor: &Actor, id: &str) -> Result<(), AppError> {
    allow(actor, Action::Train)?;
    let mut transaction = app.store.begin().await?;
    let info = find(&mut transaction, id).await?;
    if info.deleted_at.is_none() {
        return Ok(());
    }
    greenlight_store::run::set_deleted(&mut transaction, info.number, None).await?;
    app.audit(&mut transaction, actor, "run.restore", id, json!({})).await?;
    transaction.commit().await.map_err(StoreError::from)?;
    Ok(())
}

/// Logs metrics, parameters and tags to a run, all or nothing.
pub async fn log(app: &App, actor: &Actor, id: &str, mut batch: Batch<'_>) -> Result<(), AppError> {
    allow(actor, Action::Train)?;
    if !batch.single {
        check_id(id)?;
    }
    check(&mut batch)?;
    if let Some(point) = only_point(&batch)
        && metric::log_one(&app.store, id, point).await?
    {
        return Ok(());
    }
    let mut transaction = app.store.begin().await?;
    let info = find_active(&mut transaction, id).await?;
    write(&mut transaction, &info, &batch).await?;
    transaction.commit().await.map_err(StoreError::from)?;
    Ok(())
}

/// The point of a batch that is nothing else: what training loops log, each by itself.
fn only_point<'a, 'b>(batch: &'b Batch<'a>) -> Option<&'b Point<'a>> {
    let Batch { metrics, params, tags, of_models, single: _ } = batch;
    let [point] = metrics.as_slice() else { return None };
    (params.is_empty() && tags.is_empty() && of_models.is_empty()).then_some(point)
}

async fn write(transaction: &mut Transaction, info: &RunInfo, batch: &Batch<'_>) -> Result<(), AppError> {
    let changed = param::log(transaction, info.number, &batch.params).await?;
    if let Some(first) = changed.first() {
        return Err(AppError::Invalid(format!(
            "Changing param values is not allowed. Param with key='{}' was already logged with value='{}' for run ID='{}'. \
             Attempted logging new value '{}'.",
            first.key,
            short(&first.old),
            info.id,
            short(&first.new)
        )));
    }
    metric::log(transaction, (info.number, info.experiment_id), &batch.metrics).await?;
    log_of_models(transaction, info, &batch.of_models).await?;
    run_tag::set(transaction, info.number, &batch.tags).await?;
    if let Some((_, name)) = batch.tags.iter().find(|(key, _)| *key == NAME_TAG) {
        let named = RunInfo { name: (*name).to_owned(), ..info.clone() };
        greenlight_store::run::update(transaction, &named).await?;
    }
    if let Some((_, user)) = batch.tags.iter().find(|(key, _)| *key == USER_TAG) {
        greenlight_store::run::set_author(transaction, info.number, user).await?;
    }
    note_initiative(transaction, info.number, &batch.tags).await
}

/// A client says by a tag which initiative its run works for; what is reused is counted by it.
async fn note_initiative(
    transaction: &mut Transaction,
    number: i64,
    tags: &[(&str, &str)],
) -> Result<(), AppError> {
    if let Some((_, initiative)) = tags.iter().find(|(key, _)| *key == INITIATIVE_TAG) {
        greenlight_store::run::set_initiative(transaction, number, initiative).await?;
    }
    Ok(())
}

async fn log_of_models(
    transaction: &mut Transaction,
    info: &RunInfo,
    of_models: &[OfModel<'_>],
) -> Result<(), AppError> {
    let mut by_model: BTreeMap<&str, Vec<ModelMetric>> = BTreeMap::new();
    for OfModel { point, model_id, dataset_name, dataset_digest } in of_models {
        by_model.entry(model_id).or_default().push(ModelMetric {
            key: point.key.to_owned(),
            value: point.value,
            at_ms: point.at_ms,
            step: point.step,
            run_id: info.id.clone(),
            dataset_name: (*dataset_name).to_owned(),
            dataset_digest: (*dataset_digest).to_owned(),
        });
    }
    for (model_id, metrics) in by_model {
        let model = logged_model::find_active(transaction, model_id).await?;
        greenlight_store::logged_model::log_metrics(transaction, model.number, &metrics).await?;
    }
    Ok(())
}

fn short(text: &str) -> String {
    text.chars().take(100).collect()
}

/// Checks bounds and keys; leaves each parameter and tag once, in the order of keys.
fn check(batch: &mut Batch<'_>) -> Result<(), AppError> {
    let single = batch.single;
    let place = |list: &str, at: usize, field: &str| {
        if single { field.to_owned() } else { format!("{list}[{at}].{field}") }
    };
    let too_many = |what: &str, count: usize, most: usize| {
        (count > most).then(|| {
            Err(AppError::Invalid(format!(
                "A batch logging request can contain at most {most} {what}. Got {count} {what}. Please split up {what} \
                 across multiple requests and try again."
            )))
        })
    };
    let all = batch.metrics.len() + batch.params.len() + batch.tags.len();
    let bounds = [
        too_many("metrics", batch.metrics.len(), MAX_BATCH),
        too_many("params", batch.params.len(), MAX_BATCH_PAIRS),
        too_many("tags", batch.tags.len(), MAX_BATCH_PAIRS),
        too_many("metrics, params, and tags", all, MAX_BATCH),
    ];
    bounds.into_iter().flatten().next().unwrap_or(Ok(()))?;
    for (at, point) in batch.metrics.iter().enumerate() {
        check_key(&place("metrics", at, "name"), "Metric name", point.key)?;
        if point.at_ms < 0 {
            return Err(AppError::Invalid(format!(
                "Invalid value {} for parameter '{}' supplied: metric '{}' (value={:?}). Timestamp must be a nonnegative \
                 long (64-bit integer) ",
                point.at_ms,
                place("metrics", at, "timestamp"),
                point.key,
                point.value
            )));
        }
    }
    for (at, (key, value)) in batch.params.iter_mut().enumerate() {
        check_key(&place("params", at, "key"), "Param key", key)?;
        *value = shortened(value, MAX_PARAM_VALUE);
    }
    for (at, (key, value)) in batch.tags.iter_mut().enumerate() {
        let place = place("tags", at, "key");
        check_key(&place, &place, key)?;
        *value = shortened(value, MAX_TAG_VALUE);
    }
    let mut keys: Vec<&str> = batch.params.iter().map(|(key, _)| *key).collect();
    keys.sort_unstable();
    let twice: Vec<&str> = keys.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect();
    if !twice.is_empty() {
        return Err(AppError::Invalid(format!(
            "Duplicate parameter keys have been submitted: ['{}']. Please ensure the request contains only one param value \
             per param key.",
            twice.join("', '")
        )));
    }
    let last: BTreeMap<&str, &str> = batch.tags.iter().copied().collect();
    batch.tags = last.into_iter().collect();
    Ok(())
}

/// The tag in which older clients keep which models a run logged.
const HISTORY_TAG: &str = "mlflow.log-model.history";
/// Longest history of models, in bytes.
const MAX_MODEL_HISTORY: usize = 1 << 20;

/// Adds a model's description to the history that a tag of the run keeps.
pub async fn log_model(app: &App, actor: &Actor, id: &str, model: &str) -> Result<(), AppError> {
    allow(actor, Action::Train)?;
    let described: serde_json::Value = serde_json::from_str(model).map_err(|_| {
        AppError::Invalid(format!("Malformed model info. \n {} \n is not a valid JSON.", short(model)))
    })?;
    let lacks: Vec<&str> = ["artifact_path", "flavors", "run_id", "utc_time_created"]
        .into_iter()
        .filter(|field| described.get(field).is_none())
        .collect();
    if !lacks.is_empty() {
        return Err(AppError::Invalid(format!(
            "Model json is missing mandatory fields: {{'{}'}}",
            lacks.join("', '")
        )));
    }
    let mut flavors = described["flavors"].clone();
    for flavor in flavors.as_object_mut().into_iter().flat_map(serde_json::Map::values_mut) {
        if let Some(flavor) = flavor.as_object_mut() {
            flavor.remove("config");
        }
    }
    let entry = json!({
        "run_id": described["run_id"],
        "artifact_path": described["artifact_path"],
        "utc_time_created": described["utc_time_created"],
        "model_uuid": described["model_uuid"],
        "flavors": flavors,
    });
    let mut transaction = app.store.begin().await?;
    let info = find_active(&mut transaction, id).await?;
    let kept = record(&mut transaction, id).await?.tags.into_iter().find(|(key, _)| key == HISTORY_TAG);
    let mut history: Vec<serde_json::Value> =
        kept.and_then(|(_, value)| serde_json::from_str(&value).ok()).unwrap_or_default();
    history.push(entry);
    let text = json!(history).to_string();
    if text.len() > MAX_MODEL_HISTORY {
        return Err(AppError::Invalid(format!(
            "the models that were logged to run {id} take more than {MAX_MODEL_HISTORY} bytes"
        )));
    }
    run_tag::set(&mut transaction, info.number, &[(HISTORY_TAG, &text)]).await?;
    transaction.commit().await.map_err(StoreError::from)?;
    Ok(())
}

/// Removes a tag.
pub async fn delete_tag(app: &App, actor: &Actor, id: &str, key: &str) -> Result<(), AppError> {
    allow(actor, Action::Train)?;
    let mut transaction = app.store.begin().await?;
    let info = find_active(&mut transaction, id).await?;
    if !run_tag::delete(&mut transaction, info.number, key).await? {
        let key: String = key.chars().take(MAX_KEY).collect();
        return Err(AppError::not_found("tag", &format!("{key} in run with id {id}"), ""));
    }
    transaction.commit().await.map_err(StoreError::from)?;
    Ok(())
}

/// A page of the points of one metric, by time. A run that does not exist has none, as in MLflow.
pub async fn history(
    app: &App,
    actor: &Actor,
    id: &str,
    key: &str,
    page: Page,
) -> Result<Vec<Latest>, AppError> {
    allow(actor, Action::Read)?;
    let mut connection = app.store.read().await?;
    let Some(info) = greenlight_store::run::info(&mut connection, id).await? else { return Ok(Vec::new()) };
    let page = Page { limit: page.limit.clamp(1, MAX_HISTORY + 1), offset: page.offset.max(0) };
    Ok(metric::history(&mut connection, info.number, key, page).await?)
}

/// Points of one metric of some runs, in the order in which the runs are named.
pub struct Sampled<'a> {
    /// Ids of runs.
    pub runs: &'a [&'a str],
    /// Name of the metric.
    pub key: &'a str,
    /// First and last step, both included.
    pub steps: (i64, i64),
    /// Most points of each run; what is left out is spread evenly.
    pub most: i64,
}

/// Points of several runs by step, thinned where there are many; with each the id of its run.
pub async fn sampled(
    app: &App,
    actor: &Actor,
    asked: Sampled<'_>,
) -> Result<Vec<(String, Latest)>, AppError> {
    allow(actor, Action::Read)?;
    let mut connection = app.store.read().await?;
    let mut all = Vec::new();
    for id in asked.runs {
        let Some(info) = greenlight_store::run::info(&mut connection, id).await? else { continue };
        let points = metric::sample(&mut connection, info.number, asked.key, asked.steps, asked.most).await?;
        all.extend(points.into_iter().map(|point| (info.id.clone(), point)));
    }
    Ok(all)
}

/// The first points of several runs by time, runs by id; at most so many in all.
pub async fn histories(
    app: &App,
    actor: &Actor,
    runs: &[&str],
    key: &str,
    most: i64,
) -> Result<Vec<(String, Latest)>, AppError> {
    allow(actor, Action::Read)?;
    let mut sorted = runs.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    let most = most.clamp(0, MAX_HISTORY);
    let mut all = Vec::new();
    let mut connection = app.store.read().await?;
    for id in sorted {
        let left = most - all.len() as i64;
        if left == 0 {
            break;
        }
        let Some(info) = greenlight_store::run::info(&mut connection, id).await? else { continue };
        let page = Page { limit: left, offset: 0 };
        let points = metric::history(&mut connection, info.number, key, page).await?;
        all.extend(points.into_iter().map(|point| (info.id.clone(), point)));
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_has_each_parameter_once() {
        let mut batch = Batch { params: vec![("b", "1"), ("a", "2"), ("b", "1")], ..Batch::default() };
        assert!(check(&mut batch).unwrap_err().to_string().contains("submitted: ['b']"));
    }

    #[test]
    fn a_refusal_says_where_it_is() {
        let mut batch = Batch { tags: vec![("a", "1"), ("../b", "1")], ..Batch::default() };
        assert!(check(&mut batch).unwrap_err().to_string().contains("for parameter 'tags[1].key' supplied"));
        batch = Batch { tags: vec![("../b", "1")], single: true, ..Batch::default() };
        assert!(check(&mut batch).unwrap_err().to_string().contains("for parameter 'key' supplied"));
        let point = Point { key: "m", value: 1.0, at_ms: -1, step: 0 };
        batch = Batch { metrics: vec![point], ..Batch::default() };
        assert!(check(&mut batch).unwrap_err().to_string().contains("'metrics[0].timestamp'"));
    }

    #[test]
    fn long_values_are_cut_as_mlflow_cuts_them() {
        let (long, tag) = ("ü".repeat(MAX_PARAM_VALUE + 1), "t".repeat(MAX_TAG_VALUE));
        let mut batch = Batch { params: vec![("p", &long)], tags: vec![("t", &tag)], ..Batch::default() };
        check(&mut batch).unwrap();
        assert_eq!(batch.params[0].1.chars().count(), MAX_PARAM_VALUE);
        assert_eq!(batch.tags[0].1, tag);
    }

    #[test]
    fn the_last_of_equal_tags_counts() {
        let mut batch = Batch { tags: vec![("t", "1"), ("t", "2")], ..Batch::default() };
        check(&mut batch).unwrap();
        assert_eq!(batch.tags, [("t", "2")]);
    }

    #[test]
    fn a_batch_is_bounded() {
        let point = Point { key: "m", value: 1.0, at_ms: 0, step: 0 };
        let mut batch = Batch { metrics: vec![point; MAX_BATCH], ..Batch::default() };
        check(&mut batch).unwrap();
        batch.tags.push(("t", "1"));
        assert!(check(&mut batch).is_err(), "1,001 in all");
        let mut batch = Batch { params: vec![("p", "1"); MAX_BATCH_PAIRS + 1], ..Batch::default() };
        assert!(check(&mut batch).is_err());
    }
}
