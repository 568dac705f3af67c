//! What an import left behind.

use greenlight_domain::time::Micros;
use greenlight_store::import::{Keys, Mark, logged_models, runs};
use greenlight_store::logged_model::NewLoggedModel;
use greenlight_store::run::{NewRun, set_deleted};
use greenlight_store::tag::{self, Tags};
use greenlight_store::{Stamp, Store, logged_model, run, run_tag};

const KEYS: Keys<'static> = Keys { source: "from", digest: "how" };
const NOW: Stamp<'static> = Stamp { at: Micros(5), actor: "ann" };

pub(crate) async fn what_was_imported_is_known_by_its_tags(store: &Store) {
    let mut tx = store.begin().await.unwrap();
    let mut made = Vec::new();
    for n in 0..250 {
        let id = format!("r{n:03}");
        let new = NewRun { id: &id, experiment_id: 0, name: "n", author: "a", started_at: Micros(1) };
        made.push((run::create(&mut tx, new).await.unwrap(), id));
    }
    run_tag::set(&mut tx, made[0].0, &[("from", "http://there"), ("how", "abc")]).await.unwrap();
    run_tag::set(&mut tx, made[1].0, &[("from", "http://there")]).await.unwrap();
    set_deleted(&mut tx, made[1].0, Some(Micros(2))).await.unwrap();
    let ids: Vec<&str> = made.iter().map(|(_, id)| id.as_str()).chain(["none", "' or 1 = 1 --"]).collect();
    let found = runs(&mut tx, &ids, KEYS).await.unwrap();
    assert_eq!(found.len(), 250, "more than one statement asks for, and nothing that is not here");
    let mark = |id: &str, is_deleted, source: Option<&str>, digest: Option<&str>| Mark {
        id: id.to_owned(),
        is_deleted,
        source: source.map(str::to_owned),
        digest: digest.map(str::to_owned),
    };
    assert_eq!(found[0], mark("r000", false, Some("http://there"), Some("abc")));
    assert_eq!(found[1], mark("r001", true, Some("http://there"), None));
    assert_eq!(found[2], mark("r002", false, None, None));
    assert!(runs(&mut tx, &[], KEYS).await.unwrap().is_empty());

    let model =
        NewLoggedModel { id: "m-1", experiment_id: 0, name: "m", model_type: "", source_run_id: "r000" };
    let number = logged_model::insert(&mut tx, model, NOW).await.unwrap();
    tag::set(&mut tx, Tags::LoggedModel, number, &[("from", "http://there")]).await.unwrap();
    let found = logged_models(&mut tx, &["m-1", "m-2"], KEYS).await.unwrap();
    assert_eq!(found, [mark("m-1", false, Some("http://there"), None)]);
}
