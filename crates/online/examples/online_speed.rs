//! Gets, reads of 100 keys and loads a second, each beside the library that does the work.
//!
//! `cargo run -p greenlight-online --example online_speed -- [KEYS] [redis://HOST:PORT]`
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use greenlight_online::{Pair, Store};
use redb::{ReadableDatabase, TableDefinition};
use std::path::Path;
use std::time::Instant;

type Failure = Box<dyn std::error::Error + Send + Sync>;

const NOW: i64 = 1_800_000_000_000_000;
const BATCH: u64 = 10_000;
const READS: u64 = 100_000;
const TABLE: TableDefinition<&[u8], &[u8]> = TableDefinition::new("raw");

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let keys: u64 = arguments.next().map_or(Ok(500_000), |keys| keys.parse())?;
    let keys = keys.div_ceil(BATCH) * BATCH;
    let folder = std::env::temp_dir().join(format!("online-speed-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    println!("{keys} keys of 16 bytes, values of 64 bytes, batches of {BATCH}");
    raw_embedded(&folder, keys)?;
    ours("embedded", &folder.join("online").display().to_string(), keys, READS).await?;
    std::fs::remove_dir_all(&folder)?;
    if let Some(url) = arguments.next() {
        raw_redis(&url, keys).await?;
        ours("redis", &format!("{url}?prefix=speed-{}", std::process::id()), keys, READS / 5).await?;
    }
    Ok(())
}

/// One number to another, so that neighbours end up far apart (the finaliser of SplitMix64).
fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

fn key(number: u64, ascending: bool) -> Vec<u8> {
    let first = if ascending { number } else { mix(number) };
    [first.to_be_bytes(), number.to_be_bytes()].concat()
}

fn batch(index: u64, ascending: bool) -> Vec<Pair> {
    (index * BATCH..(index + 1) * BATCH).map(|number| (key(number, ascending), vec![7; 64])).collect()
}

fn row(what: &str, count: u64, start: Instant) {
    let seconds = start.elapsed().as_secs_f64();
    println!("{what:>42} {:>10.0} a second", count as f64 / seconds);
}

async fn ours(name: &str, url: &str, keys: u64, reads: u64) -> Result<(), Failure> {
    let store = Store::open(url).await?;
    for ascending in [false, true] {
        let start = Instant::now();
        let mut load = store.begin("speed", if ascending { "ascending" } else { "random" }, None).await?;
        for index in 0..keys / BATCH {
            load.put(index + 1, batch(index, ascending)).await?;
        }
        load.publish(NOW).await?;
        row(&format!("{name}: load, {} keys", if ascending { "ascending" } else { "random" }), keys, start);
    }
    store.purge(NOW, 10).await?;
    let start = Instant::now();
    for read in 0..reads {
        store.get("speed", &key(mix(read) % keys, true), NOW).await?.ok_or("a key is missing")?;
    }
    row(&format!("{name}: get, one task"), reads, start);
    let start = Instant::now();
    for read in 0..reads / 100 {
        let wanted: Vec<Vec<u8>> =
            (0..100).map(|position| key(mix(read * 100 + position) % keys, true)).collect();
        let wanted: Vec<&[u8]> = wanted.iter().map(Vec::as_slice).collect();
        let found = store.get_many("speed", &wanted, NOW).await?;
        found.values.iter().all(Option::is_some).then_some(()).ok_or("a key is missing")?;
    }
    row(&format!("{name}: multi-get of 100"), reads / 100, start);
    let start = Instant::now();
    let tasks: Vec<_> = (0..32)
        .map(|task| {
            let store = store.clone();
            tokio::spawn(async move {
                for read in 0..reads / 32 {
                    store.get("speed", &key(mix(task * reads + read) % keys, true), NOW).await?;
                }
                Ok::<(), Failure>(())
            })
        })
        .collect();
    for task in tasks {
        task.await??;
    }
    row(&format!("{name}: get, 32 tasks"), reads / 32 * 32, start);
    let start = Instant::now();
    for write in 0..200 {
        store.upsert("speed", vec![(key(write, true), vec![8; 64])], Some(NOW + 1), NOW).await?;
    }
    row(&format!("{name}: upsert of one key, durable"), 200, start);
    store.drop_table("speed").await?;
    store.purge(NOW, 10).await?;
    Ok(())
}

fn raw_embedded(folder: &Path, keys: u64) -> Result<(), Failure> {
    for ascending in [false, true] {
        let path = folder.join(if ascending { "ascending" } else { "random" });
        let database = redb::Builder::new().set_cache_size(32 << 20).create(&path)?;
        let start = Instant::now();
        for index in 0..keys / BATCH {
            let mut pairs = batch(index, ascending);
            pairs.sort();
            let write = database.begin_write()?;
            {
                let mut table = write.open_table(TABLE)?;
                for (key, value) in &pairs {
                    table.insert(key.as_slice(), value.as_slice())?;
                }
            }
            write.commit()?;
        }
        row(&format!("redb: load, {} keys", if ascending { "ascending" } else { "random" }), keys, start);
        if ascending {
            let table = database.begin_read()?.open_table(TABLE)?;
            let start = Instant::now();
            for read in 0..READS {
                let value = table.get(key(mix(read) % keys, true).as_slice())?.ok_or("a key is missing")?;
                std::hint::black_box(value.value().to_vec());
            }
            row("redb: get from a snapshot", READS, start);
        }
    }
    Ok(())
}

async fn raw_redis(url: &str, keys: u64) -> Result<(), Failure> {
    let client = redis::Client::open(url)?;
    let mut connection = client.get_multiplexed_async_connection().await?;
    let start = Instant::now();
    for index in 0..keys / BATCH {
        let mut call = redis::cmd("HSET");
        call.arg("speed-raw");
        for (key, value) in batch(index, true) {
            call.arg(key).arg(value);
        }
        call.exec_async(&mut connection).await?;
    }
    row("redis: load, HSET of a batch", keys, start);
    let reads = READS / 5;
    let start = Instant::now();
    for read in 0..reads {
        let call = redis::Cmd::hget("speed-raw", key(mix(read) % keys, true));
        let _: Vec<u8> = call.query_async(&mut connection).await?;
    }
    row("redis: HGET, one task", reads, start);
    let start = Instant::now();
    for read in 0..reads / 100 {
        let mut call = redis::cmd("HMGET");
        call.arg("speed-raw");
        for position in 0..100 {
            call.arg(key(mix(read * 100 + position) % keys, true));
        }
        let _: Vec<Vec<u8>> = call.query_async(&mut connection).await?;
    }
    row("redis: HMGET of 100", reads / 100, start);
    redis::cmd("UNLINK").arg("speed-raw").exec_async(&mut connection).await?;
    Ok(())
}
