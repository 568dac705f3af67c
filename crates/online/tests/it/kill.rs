//! A writer is killed for real (SIGKILL) at chosen moments; whoever comes after finds one whole generation, and a load
//! that goes on behind its last acknowledged batch.
//!
//! The writer is this test binary, run again with the child below as its only test. It says each step before and after
//! it takes it; the parent kills it at the line it waits for.

use crate::{NOW, embedded_url, pairs, redis_url};
use greenlight_online::{Load, Store};
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

const URL: &str = "GREENLIGHT_TEST_ONLINE_CHILD";
const TABLE: &str = "churn";
const BATCHES: u64 = 6;
const BATCH_PAIRS: u32 = 300;

/// Loads what is missing of a generation and publishes it; every value is the name of the generation.
async fn finish(load: &mut Load, generation: &str, mut say: impl FnMut(&str)) {
    for sequence in load.resume() + 1..=BATCHES {
        let first = (sequence as u32 - 1) * BATCH_PAIRS;
        say(&format!("puts {sequence} of {generation}"));
        load.put(sequence, pairs(first..first + BATCH_PAIRS, generation)).await.unwrap();
        say(&format!("has put {sequence} of {generation}"));
    }
    say(&format!("publishes {generation}"));
    load.publish(NOW).await.unwrap();
    say(&format!("has published {generation}"));
}

/// Not a test by itself: it returns at once unless a parent asks for it.
#[tokio::test]
async fn child() {
    let Ok(url) = std::env::var(URL) else { return };
    let store = Store::open(&url).await.unwrap();
    for number in 0.. {
        let generation = format!("g{number}");
        let mut load = store.begin(TABLE, &generation, None).await.unwrap();
        finish(&mut load, &generation, |line| {
            let mut out = std::io::stdout().lock();
            writeln!(out, "\nchild {line}").unwrap();
            out.flush().unwrap();
        })
        .await;
        store.purge(NOW, 1).await.unwrap();
    }
}

/// Runs the child until it says `line` and kills it. It may have gone on meanwhile: what it still said before it died
/// counts. Returns the last generation it said it had published, and the last batch it said it had put of the next.
fn kill_at(url: &str, line: &str) -> (Option<u64>, u64) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "kill::child", "--nocapture"])
        .env(URL, url)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let (mut published, mut put, mut killed) = (None, 0, false);
    for said in BufReader::new(child.stdout.take().unwrap()).lines() {
        let said = said.unwrap();
        let Some(said) = said.strip_prefix("child ") else { continue };
        if let Some(number) = said.strip_prefix("has published g") {
            (published, put) = (Some(number.parse().unwrap()), 0);
        } else if let Some(rest) = said.strip_prefix("has put ") {
            put = rest.split(' ').next().unwrap().parse().unwrap();
        }
        if said == line && !killed {
            child.kill().unwrap();
            killed = true;
        }
    }
    child.wait().unwrap();
    assert!(killed, "the child ended before it said '{line}'");
    (published, put)
}

/// The generation that serves, after every one of its values was looked at.
async fn serving(store: &Store) -> Option<u64> {
    let names: Vec<String> = (0..BATCHES as u32 * BATCH_PAIRS).map(|number| format!("k{number}")).collect();
    let keys: Vec<&[u8]> = names.iter().map(String::as_bytes).collect();
    let read = store.get_many(TABLE, &keys, NOW).await.unwrap();
    let Some(generation) = read.generation else {
        assert!(read.values.iter().all(Option::is_none));
        return None;
    };
    assert!(read.values.iter().all(|value| value.as_deref() == Some(generation.as_bytes())), "a mixture");
    Some(generation.strip_prefix('g').unwrap().parse().unwrap())
}

async fn check(url: &str, line: &str) {
    let (published, put) = kill_at(url, line);
    let store = Store::open(url).await.unwrap();
    let serves = serving(&store).await;
    // The kill may have come before or after the step that was under way, and nothing else.
    assert!(serves == published || serves == Some(published.map_or(0, |g| g + 1)), "{serves:?} at '{line}'");
    let next = format!("g{}", serves.map_or(0, |g| g + 1));
    let mut load = store.begin(TABLE, &next, None).await.unwrap();
    if serves == published {
        assert!(
            (put..=put + 1).contains(&load.resume()),
            "{put} acknowledged, {} at '{line}'",
            load.resume()
        );
    }
    finish(&mut load, &next, |_| ()).await;
    assert_eq!(serving(&store).await, Some(serves.map_or(0, |g| g + 1)));
    store.drop_table(TABLE).await.unwrap();
    while store.purge(NOW, 100).await.unwrap().more {}
}

const MOMENTS: [&str; 8] = [
    "puts 1 of g0",
    "has put 3 of g0",
    "publishes g0",
    "has published g0",
    "puts 4 of g1",
    "publishes g1",
    "has published g2",
    "publishes g3",
];

#[tokio::test]
async fn a_folder_survives() {
    let folder = tempfile::tempdir().unwrap();
    for moment in MOMENTS {
        check(&embedded_url(&folder), moment).await;
    }
}

#[tokio::test]
async fn a_server_survives_its_client() {
    for moment in MOMENTS {
        check(&redis_url(), moment).await;
    }
}
