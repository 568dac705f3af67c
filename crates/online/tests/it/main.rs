//! The contract suite: both backends do the same, on a real disk and on a real Redis.
//!
//! `script/test` starts a Redis and names it in GREENLIGHT_TEST_REDIS_URL. Without it the suite fails rather than
//! passing on one backend only.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod contract;
mod embedded;
mod kill;
mod redis;

use greenlight_online::{Pair, Store};

/// Some moment, in microseconds since 1970: no test asks the machine for the time.
const NOW: i64 = 1_800_000_000_000_000;
const SECOND: i64 = 1_000_000;

/// The URL of a fresh store in a folder.
fn embedded_url(folder: &tempfile::TempDir) -> String {
    format!("embedded:{}", folder.path().join("online").display())
}

/// The URL of a fresh store on the Redis that the script started: no other test uses its prefix.
fn redis_url() -> String {
    let server = std::env::var("GREENLIGHT_TEST_REDIS_URL")
        .expect("GREENLIGHT_TEST_REDIS_URL names no Redis; run the tests with script/test, which starts one");
    let separator = if server.contains('?') { '&' } else { '?' };
    format!("{server}{separator}prefix=test-{}", uuid::Uuid::now_v7().simple())
}

fn pair(key: &str, value: &str) -> Pair {
    (key.as_bytes().to_vec(), value.as_bytes().to_vec())
}

/// Pairs `k0…` that all have the same value.
fn pairs(keys: std::ops::Range<u32>, value: &str) -> Vec<Pair> {
    keys.map(|number| pair(&format!("k{number}"), value)).collect()
}

/// Loads and publishes a generation of one batch.
async fn publish(store: &Store, table: &str, generation: &str, pairs: Vec<Pair>) {
    let mut load = store.begin(table, generation, None).await.unwrap();
    load.put(1, pairs).await.unwrap();
    load.publish(NOW).await.unwrap();
}

async fn text(store: &Store, table: &str, key: &str, now: i64) -> Option<String> {
    let value = store.get(table, key.as_bytes(), now).await.unwrap()?;
    Some(String::from_utf8(value.to_vec()).unwrap())
}

/// Purges in small steps until nothing is left to purge; how many keys and generations went.
async fn purge_all(store: &Store, now: i64) -> (u64, u64) {
    let (mut keys, mut generations) = (0, 0);
    loop {
        let step = store.purge(now, 3).await.unwrap();
        assert!(step.keys + step.generations <= 3, "a step is bounded: {step:?}");
        keys += step.keys;
        generations += step.generations;
        if !step.more {
            return (keys, generations);
        }
    }
}

/// Runs one contract on both backends.
macro_rules! on_both {
    ($($name:ident),+ $(,)?) => {
        mod embedded_ {
            $(#[tokio::test] async fn $name() {
                let folder = tempfile::tempdir().unwrap();
                let store = greenlight_online::Store::open(&crate::embedded_url(&folder)).await.unwrap();
                crate::contract::$name(&store).await;
            })+
        }
        mod redis_ {
            $(#[tokio::test] async fn $name() {
                let store = greenlight_online::Store::open(&crate::redis_url()).await.unwrap();
                crate::contract::$name(&store).await;
            })+
        }
    };
}

on_both![
    a_batch_is_put_once,
    a_dropped_table_is_gone,
    a_generation_expires,
    a_load_resumes_behind_its_last_batch,
    a_load_that_is_abandoned_leaves_nothing,
    a_newer_load_ends_the_older_one,
    an_unknown_table_reads_as_missing,
    any_bytes_are_a_key,
    bounds_are_refused,
    keys_expire_at_once_and_are_purged_in_steps,
    publishing_swaps_the_whole_table,
    publishing_twice_changes_nothing,
    readers_never_see_a_mixture,
    reads_keep_the_order_of_the_keys,
    tables_are_listed,
    the_largest_value_and_batch_fit,
    upserts_need_a_generation_and_go_with_it,
];
