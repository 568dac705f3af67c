//! What every backend promises.

use crate::{NOW, SECOND, pair, pairs, publish, purge_all, text};
use greenlight_online::{MAX_BATCH_PAIRS, MAX_KEYS_READ, MAX_VALUE_BYTES, OnlineError, Put, Store};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

pub(crate) async fn an_unknown_table_reads_as_missing(store: &Store) {
    store.check().await.unwrap();
    assert_eq!(text(store, "churn", "a", NOW).await, None);
    let read = store.get_many("churn", &[b"a", b"b"], NOW).await.unwrap();
    assert_eq!((read.generation, read.values), (None, vec![None, None]));
    assert!(store.tables().await.unwrap().is_empty());
    assert!(!store.drop_table("churn").await.unwrap());
}

pub(crate) async fn publishing_swaps_the_whole_table(store: &Store) {
    publish(store, "churn", "monday", pairs(0..10, "old")).await;
    let mut load = store.begin("churn", "tuesday", None).await.unwrap();
    load.put(1, pairs(5..8, "new")).await.unwrap();
    assert_eq!(text(store, "churn", "k5", NOW).await.as_deref(), Some("old"), "not published yet");
    let published = load.publish(NOW + SECOND).await.unwrap();
    assert_eq!(
        (&*published.id, published.published_at, published.batches),
        ("tuesday", Some(NOW + SECOND), 1)
    );
    assert_eq!(text(store, "churn", "k5", NOW).await.as_deref(), Some("new"));
    assert_eq!(text(store, "churn", "k0", NOW).await, None, "the old generation is gone as a whole");
    purge_all(store, NOW).await;
    assert_eq!(text(store, "churn", "k7", NOW).await.as_deref(), Some("new"));
}

pub(crate) async fn publishing_twice_changes_nothing(store: &Store) {
    let mut load = store.begin("churn", "monday", None).await.unwrap();
    let mut twin = store.begin("churn", "monday", None).await.unwrap();
    load.put(1, pairs(0..1, "a")).await.unwrap();
    let first = load.publish(NOW).await.unwrap();
    assert_eq!(load.publish(NOW + SECOND).await.unwrap(), first);
    assert_eq!(twin.publish(NOW + SECOND).await.unwrap(), first, "another handle of the same load");
    let mut again = store.begin("churn", "monday", None).await.unwrap();
    assert!(again.is_published(), "a job that crashed before it could say so");
    assert_eq!(again.put(1, pairs(0..1, "b")).await.unwrap(), Put::Repeated);
    assert!(matches!(again.put(2, pairs(0..1, "b")).await, Err(OnlineError::Invalid(_))));
    assert_eq!(again.publish(NOW + SECOND).await.unwrap(), first);
    again.abandon().await.unwrap();
    assert_eq!(text(store, "churn", "k0", NOW).await.as_deref(), Some("a"));
}

pub(crate) async fn a_batch_is_put_once(store: &Store) {
    let mut load = store.begin("churn", "monday", None).await.unwrap();
    let mut twin = store.begin("churn", "monday", None).await.unwrap();
    assert_eq!(load.put(1, vec![pair("a", "1"), pair("a", "2")]).await.unwrap(), Put::Written);
    assert_eq!(load.put(1, vec![pair("a", "3")]).await.unwrap(), Put::Repeated);
    twin.put(1, vec![pair("a", "4")]).await.unwrap();
    assert_eq!(twin.resume(), 1);
    let error = load.put(3, vec![pair("c", "1")]).await.unwrap_err().to_string();
    assert_eq!(
        error,
        "generation 'monday' of table 'churn' expects batch 2, not 3; put the batches in order"
    );
    assert!(matches!(load.put(0, vec![]).await, Err(OnlineError::Invalid(_))));
    load.publish(NOW).await.unwrap();
    assert_eq!(text(store, "churn", "a", NOW).await.as_deref(), Some("2"), "the last of a batch counts");
}

pub(crate) async fn a_load_resumes_behind_its_last_batch(store: &Store) {
    let mut load = store.begin("churn", "monday", Some(Duration::from_secs(9))).await.unwrap();
    assert_eq!(load.resume(), 0);
    for sequence in 1..=3 {
        load.put(sequence, pairs(sequence as u32..sequence as u32 + 1, "a")).await.unwrap();
    }
    drop(load);
    let mut load = store.begin("churn", "monday", None).await.unwrap();
    assert_eq!((load.resume(), load.is_published()), (3, false));
    load.put(4, pairs(4..5, "a")).await.unwrap();
    let published = load.publish(NOW).await.unwrap();
    assert_eq!(published.batches, 4);
    assert_eq!(published.expires_at(), Some(NOW + 9 * SECOND), "a resumed load keeps its expiry");
    for key in 1..=4 {
        assert_eq!(text(store, "churn", &format!("k{key}"), NOW).await.as_deref(), Some("a"));
    }
}

pub(crate) async fn a_newer_load_ends_the_older_one(store: &Store) {
    let mut old = store.begin("churn", "monday", None).await.unwrap();
    old.put(1, pairs(0..5, "old")).await.unwrap();
    let mut new = store.begin("churn", "tuesday", None).await.unwrap();
    new.put(1, pairs(0..1, "new")).await.unwrap();
    assert!(matches!(old.put(2, pairs(5..6, "old")).await, Err(OnlineError::Superseded { .. })));
    assert!(matches!(old.publish(NOW).await, Err(OnlineError::Superseded { .. })));
    old.abandon().await.unwrap();
    new.publish(NOW).await.unwrap();
    assert_eq!(text(store, "churn", "k1", NOW).await, None);
    // The name is free again, and the load begins from nothing.
    assert_eq!(store.begin("churn", "monday", None).await.unwrap().resume(), 0);
}

pub(crate) async fn a_load_that_is_abandoned_leaves_nothing(store: &Store) {
    let mut load = store.begin("churn", "monday", None).await.unwrap();
    load.put(1, pairs(0..5, "a")).await.unwrap();
    load.abandon().await.unwrap();
    assert!(store.tables().await.unwrap().is_empty());
    purge_all(store, NOW).await;
    let mut again = store.begin("churn", "monday", None).await.unwrap();
    assert_eq!(again.resume(), 0);
    again.publish(NOW).await.unwrap();
    assert_eq!(text(store, "churn", "k0", NOW).await, None, "an empty generation can be published");
    assert_eq!(store.tables().await.unwrap()[0].keys, 0);
}

pub(crate) async fn upserts_need_a_generation_and_go_with_it(store: &Store) {
    let refused = store.upsert("features", pairs(0..1, "a"), None, NOW).await;
    assert!(matches!(refused, Err(OnlineError::Invalid(_))));
    publish(store, "features", "monday", pairs(0..2, "batch")).await;
    store.upsert("features", pairs(1..3, "live"), None, NOW).await.unwrap();
    assert_eq!(text(store, "features", "k0", NOW).await.as_deref(), Some("batch"));
    assert_eq!(text(store, "features", "k1", NOW).await.as_deref(), Some("live"));
    assert_eq!(store.tables().await.unwrap()[0].keys, 3);
    publish(store, "features", "tuesday", pairs(0..1, "batch 2")).await;
    assert_eq!(text(store, "features", "k1", NOW).await, None);
}

pub(crate) async fn keys_expire_at_once_and_are_purged_in_steps(store: &Store) {
    publish(store, "features", "monday", pairs(0..3, "stays")).await;
    store.upsert("features", pairs(10..20, "goes"), Some(NOW + SECOND), NOW).await.unwrap();
    store.upsert("features", pairs(20..21, "goes later"), Some(NOW + 5 * SECOND), NOW).await.unwrap();
    // Written again since: one for ever, one for longer.
    store.upsert("features", pairs(10..11, "stays now"), None, NOW).await.unwrap();
    store.upsert("features", pairs(11..12, "goes later"), Some(NOW + 5 * SECOND), NOW).await.unwrap();
    assert_eq!(text(store, "features", "k12", NOW + SECOND - 1).await.as_deref(), Some("goes"));
    assert_eq!(text(store, "features", "k12", NOW + SECOND).await, None, "before any purge");
    assert_eq!(store.tables().await.unwrap()[0].keys, 14);
    purge_all(store, NOW + SECOND).await;
    assert_eq!(store.tables().await.unwrap()[0].keys, 6);
    assert_eq!(text(store, "features", "k10", NOW + SECOND).await.as_deref(), Some("stays now"));
    assert_eq!(text(store, "features", "k11", NOW + SECOND).await.as_deref(), Some("goes later"));
    purge_all(store, NOW + 9 * SECOND).await;
    assert_eq!(store.tables().await.unwrap()[0].keys, 4);
    assert_eq!(purge_all(store, i64::MAX - 1).await, (0, 0), "what has no expiry stays");
}

pub(crate) async fn a_generation_expires(store: &Store) {
    let mut load = store.begin("churn", "monday", Some(Duration::from_secs(2))).await.unwrap();
    load.put(1, pairs(0..5, "a")).await.unwrap();
    assert_eq!(load.publish(NOW).await.unwrap().expires_at(), Some(NOW + 2 * SECOND));
    let end = NOW + 2 * SECOND;
    assert_eq!(text(store, "churn", "k0", end - 1).await.as_deref(), Some("a"));
    assert_eq!(text(store, "churn", "k0", end).await, None);
    let refused = store.upsert("churn", pairs(0..1, "b"), None, end).await;
    assert!(matches!(refused, Err(OnlineError::Invalid(_))));
    assert_eq!(purge_all(store, end - 1).await, (0, 0));
    assert_eq!(purge_all(store, end).await, (0, 1));
    assert!(store.tables().await.unwrap().is_empty());
    assert_eq!(text(store, "churn", "k0", NOW).await, None);
}

pub(crate) async fn reads_keep_the_order_of_the_keys(store: &Store) {
    publish(store, "churn", "monday", vec![pair("a", "1"), pair("b", "2"), pair("c", "")]).await;
    let keys: [&[u8]; 5] = [b"c", b"missing", b"a", b"b", b"a"];
    let read = store.get_many("churn", &keys, NOW).await.unwrap();
    let found: Vec<Option<&[u8]>> = read.values.iter().map(Option::as_deref).collect();
    assert_eq!(found, [Some(&b""[..]), None, Some(b"1"), Some(b"2"), Some(b"1")]);
    assert_eq!(read.generation.as_deref(), Some("monday"));
    assert_eq!(store.get_many("churn", &[], NOW).await.unwrap().values, vec![]);
}

pub(crate) async fn any_bytes_are_a_key(store: &Store) {
    let keys: Vec<Vec<u8>> = vec![vec![0], vec![0, 0], vec![255; 512], b"a:b\r\n".to_vec(), vec![128]];
    let pairs = keys.iter().map(|key| (key.clone(), key.clone())).collect();
    publish(store, "churn", "monday", pairs).await;
    let asked: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
    let read = store.get_many("churn", &asked, NOW).await.unwrap();
    for (key, value) in keys.iter().zip(read.values) {
        assert_eq!(value.as_deref(), Some(key.as_slice()));
    }
}

pub(crate) async fn bounds_are_refused(store: &Store) {
    let invalid = |error: Option<OnlineError>| assert!(matches!(error, Some(OnlineError::Invalid(_))));
    invalid(store.begin("Churn", "monday", None).await.err());
    invalid(store.begin("churn", "mon/day", None).await.err());
    invalid(store.get("churn", b"", NOW).await.err());
    invalid(store.get("churn", &[1; 513], NOW).await.err());
    invalid(store.get_many("churn", &vec![&b"a"[..]; MAX_KEYS_READ + 1], NOW).await.err());
    invalid(store.drop_table("").await.err());
    let mut load = store.begin("churn", "monday", None).await.unwrap();
    invalid(load.put(1, vec![(vec![], vec![])]).await.err());
    invalid(load.put(1, vec![(vec![1], vec![0; MAX_VALUE_BYTES + 1])]).await.err());
    invalid(load.put(1, vec![(vec![1], vec![]); MAX_BATCH_PAIRS + 1]).await.err());
    assert_eq!(load.resume(), 0);
    load.publish(NOW).await.unwrap();
    invalid(store.upsert("churn", vec![(vec![1; 513], vec![])], None, NOW).await.err());
}

pub(crate) async fn the_largest_value_and_batch_fit(store: &Store) {
    let mut load = store.begin("churn", "monday", None).await.unwrap();
    let largest = vec![7; MAX_VALUE_BYTES];
    load.put(1, vec![(vec![1; 512], largest.clone())]).await.unwrap();
    load.put(2, pairs(0..MAX_BATCH_PAIRS as u32, "a")).await.unwrap();
    load.publish(NOW).await.unwrap();
    assert_eq!(store.get("churn", &[1; 512], NOW).await.unwrap().unwrap(), largest);
    let names: Vec<String> = (0..MAX_KEYS_READ).map(|number| format!("k{number}")).collect();
    let keys: Vec<&[u8]> = names.iter().map(String::as_bytes).collect();
    let read = store.get_many("churn", &keys, NOW).await.unwrap();
    assert!(read.values.iter().all(|value| value.as_deref() == Some(b"a")));
    store.upsert("churn", pairs(0..MAX_BATCH_PAIRS as u32, "b"), Some(NOW + 1), NOW).await.unwrap();
    let mut purged = 0;
    while store.purge(NOW + 1, 4_000).await.unwrap().more {
        purged += 1;
    }
    assert!(purged >= 2, "in several steps");
    assert_eq!(store.tables().await.unwrap()[0].keys, 1);
}

pub(crate) async fn tables_are_listed(store: &Store) {
    publish(store, "b", "monday", pairs(0..7, "a")).await;
    let mut load = store.begin("b", "tuesday", Some(Duration::from_secs(1))).await.unwrap();
    load.put(1, pairs(0..1, "a")).await.unwrap();
    store.begin("a", "first", None).await.unwrap();
    let tables = store.tables().await.unwrap();
    assert_eq!(tables.iter().map(|table| table.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!((tables[0].active.is_none(), tables[0].keys), (true, 0));
    assert_eq!(tables[0].loading.as_ref().map(|loading| (&*loading.id, loading.batches)), Some(("first", 0)));
    let active = tables[1].active.as_ref().unwrap();
    assert_eq!((&*active.id, active.published_at, active.expires_at()), ("monday", Some(NOW), None));
    assert_eq!(tables[1].keys, 7);
    assert_eq!(
        tables[1].loading.as_ref().map(|loading| (&*loading.id, loading.batches)),
        Some(("tuesday", 1))
    );
}

pub(crate) async fn a_dropped_table_is_gone(store: &Store) {
    publish(store, "churn", "monday", pairs(0..5, "a")).await;
    let mut load = store.begin("churn", "tuesday", None).await.unwrap();
    load.put(1, pairs(0..1, "a")).await.unwrap();
    assert!(store.drop_table("churn").await.unwrap());
    assert_eq!(text(store, "churn", "k0", NOW).await, None);
    assert!(matches!(load.put(2, pairs(1..2, "a")).await, Err(OnlineError::Superseded { .. })));
    assert!(matches!(load.publish(NOW).await, Err(OnlineError::Superseded { .. })));
    purge_all(store, NOW).await;
    assert!(store.tables().await.unwrap().is_empty());
    publish(store, "churn", "monday", pairs(0..1, "b")).await;
    assert_eq!(text(store, "churn", "k0", NOW).await.as_deref(), Some("b"));
}

/// A writer publishes generation after generation while readers ask for the same keys again and again.
pub(crate) async fn readers_never_see_a_mixture(store: &Store) {
    publish(store, "churn", "g0", pairs(0..50, "g0")).await;
    let done = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..3)
        .map(|_| {
            let (store, done) = (store.clone(), Arc::clone(&done));
            tokio::spawn(async move {
                let names: Vec<String> = (0..50).map(|number| format!("k{number}")).collect();
                let keys: Vec<&[u8]> = names.iter().map(String::as_bytes).collect();
                while !done.load(Ordering::Relaxed) {
                    let read = store.get_many("churn", &keys, NOW).await.unwrap();
                    let generation = read.generation.expect("the table is never without a generation");
                    assert!(read.values.iter().all(|value| value.as_deref() == Some(generation.as_bytes())));
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    for number in 1..=20 {
        let generation = format!("g{number}");
        publish(store, "churn", &generation, pairs(0..50, &generation)).await;
        store.purge(NOW, 2).await.unwrap();
    }
    done.store(true, Ordering::Relaxed);
    for reader in readers {
        reader.await.unwrap();
    }
    assert_eq!(text(store, "churn", "k49", NOW).await.as_deref(), Some("g20"));
}
