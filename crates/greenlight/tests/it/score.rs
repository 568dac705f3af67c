//! Batches through real processes: SIGKILL in the middle, then the result of one run.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::process::{BINARY, Server, manifests};

const ROWS: u64 = 45_211;

fn arguments<'a>(input: &'a str, output: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let all = ["score", "--model", "calls-boosted@1", "--input", input, "--output", output];
    all.iter().chain(more).copied().collect()
}

struct World {
    server: Server,
    token: String,
    folder: tempfile::TempDir,
}

impl World {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(&folder.path().join("data"));
        let token = server.first_token.clone().unwrap();
        server.json(&token, &["apply", "-f", manifests().to_str().unwrap()]);
        server.json(&token, &["train", "calls-boosted"]);
        Self { server, token, folder }
    }

    fn at(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    fn score(&self, input: &str, output: &str, more: &[&str]) -> Value {
        self.server.json(&self.token, &arguments(input, output, more))
    }

    /// A job that runs meanwhile.
    fn spawn(&self, input: &str, output: &str, more: &[&str]) -> Child {
        Command::new(BINARY)
            .args(arguments(input, output, more))
            .env("GREENLIGHT_URL", &self.server.url)
            .env("GREENLIGHT_TOKEN", &self.token)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }

    fn refused(&self, arguments: &[&str], code: i32, hint: &str) {
        let output = self.server.verb(&self.token, arguments);
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{error}");
        assert!(error.contains(hint), "'{error}' does not say '{hint}'");
    }

    /// Chunks that are durable in the load of a table.
    fn loaded(&self) -> u64 {
        let tables = self.server.json(&self.token, &["kv", "list"]);
        tables[0]["loading"]["durable"].as_u64().unwrap_or(0)
    }
}

fn bank() -> PathBuf {
    manifests().join("bankmarketing.parquet")
}

/// Chunks that the journal beside an output knows.
fn journalled(output: &str) -> u64 {
    let journal = std::fs::read(Path::new(&format!("{output}.score")).join("journal.json"));
    let journal: Value = journal.ok().and_then(|b| serde_json::from_slice(&b).ok()).unwrap_or_default();
    journal["chunks"].as_u64().unwrap_or(0)
}

/// SIGKILL once `far` says so.
fn kill_when(mut job: Child, far: impl Fn() -> bool) {
    while !far() {
        assert!(job.try_wait().unwrap().is_none(), "the job ended before it could be killed");
        std::thread::yield_now();
    }
    job.kill().unwrap();
    assert!(!job.wait().unwrap().success());
}

#[test]
fn a_file_that_is_resumed_after_sigkill_is_the_file_of_one_run() {
    let world = World::start();
    let bank = bank();
    let bank = bank.to_str().unwrap();
    let more = ["--keep", "age,date,job", "--batch-rows", "500"];
    let (once, twice) = (world.at("once.parquet"), world.at("twice.parquet"));
    let done = world.score(bank, &once, &more);
    assert_eq!((&done["rows"], &done["chunks"]), (&ROWS.into(), &91.into()));
    assert!(!Path::new(&format!("{once}.score")).exists(), "nothing is left beside the output");

    kill_when(world.spawn(bank, &twice, &more), || journalled(&twice) >= 3);
    assert!(!Path::new(&twice).exists(), "a file appears whole or not at all");
    let again = arguments(bank, &twice, &more);
    world.refused(&again, 5, "go on with --resume");
    let other = ["--keep", "age", "--batch-rows", "500", "--resume"];
    world.refused(&arguments(bank, &twice, &other), 5, "other columns to keep");
    let resume = ["--keep", "age,date,job", "--batch-rows", "500", "--resume"];
    let resumed = world.score(bank, &twice, &resume);
    assert!(resumed["resumed_after"].as_u64().unwrap() >= 1_500);
    assert_eq!(resumed["rows"].as_u64().unwrap() + resumed["resumed_after"].as_u64().unwrap(), ROWS);
    assert_eq!(std::fs::read(&twice).unwrap(), std::fs::read(&once).unwrap());
    world.refused(&again, 5, "exists");
    let empty = world.at("empty.csv");
    write_keyed(&empty, 0);
    for output in [world.at("none.parquet"), "kv:none".to_owned()] {
        world.refused(&arguments(&empty, &output, &["--key", "client"]), 2, "has no rows");
    }
    let left: Vec<_> =
        std::fs::read_dir(world.folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_str().unwrap().starts_with("none")), "{left:?}");
    world.refused(&arguments(bank, &world.at("new.parquet"), &["--keep", "salary"]), 2, "lacks salary");
    assert!(!Path::new(&world.at("new.parquet")).exists());
}

#[test]
fn a_delta_table_that_is_resumed_after_sigkill_holds_every_row_once() {
    let world = World::start();
    let bank = bank();
    let bank = bank.to_str().unwrap();
    let (once, table, back) = (world.at("once.parquet"), world.at("table"), world.at("back.parquet"));
    let more = ["--keep", "age,job,balance,campaign", "--batch-rows", "1000"];
    world.score(bank, &once, &more);
    kill_when(world.spawn(bank, &table, &more), || journalled(&table) >= 3);
    let resume = ["--keep", "age,job,balance,campaign", "--batch-rows", "1000", "--resume"];
    assert_eq!(world.score(bank, &table, &resume)["chunks"], 46);
    world.refused(&arguments(bank, &table, &more), 5, "exists");
    // The table is scored in turn, as an input: rows that were lost or doubled would be seen here.
    let error = world.server.verb(&world.token, &arguments(&table, &back, &[]));
    assert!(String::from_utf8_lossy(&error.stderr).contains("lacks"), "the model needs more columns");
    let mut rows = rows_of_table(Path::new(&table));
    let mut expected = rows_of_file(Path::new(&once));
    rows.sort();
    expected.sort();
    assert_eq!(rows.len() as u64, ROWS);
    assert_eq!(rows, expected);
}

fn rows_of_file(path: &Path) -> Vec<String> {
    let file = std::fs::File::open(path).unwrap();
    let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
    let mut rows = Vec::new();
    for batch in reader.build().unwrap() {
        let batch = batch.unwrap();
        rows.extend((0..batch.num_rows()).map(|row| format!("{:?}", batch.slice(row, 1).columns())));
    }
    rows
}

/// The rows of the files that the log names: a file that a killed writer left behind does not count.
fn rows_of_table(folder: &Path) -> Vec<String> {
    let mut rows = Vec::new();
    for entry in std::fs::read_dir(folder.join("_delta_log")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "json") {
            for line in std::fs::read_to_string(path).unwrap().lines() {
                let action: Value = serde_json::from_str(line).unwrap();
                if let Some(file) = action["add"]["path"].as_str() {
                    rows.extend(rows_of_file(&folder.join(file)));
                }
            }
        }
    }
    rows
}

#[test]
fn a_key_value_table_swaps_at_once_and_resumes_after_sigkill_of_either_side() {
    let world = World::start();
    let keyed = world.at("keyed.csv");
    // The bank's file has no key, so the first columns that the model takes get one.
    write_keyed(&keyed, 20_000);
    let small = world.at("small.csv");
    write_keyed(&small, 10);
    let more = ["--key", "client", "--batch-rows", "200"];
    world.score(&small, "kv:scores", &more);
    let get = |world: &World, key: &str| world.server.json(&world.token, &["kv", "get", "scores", key]);
    let old = get(&world, "client-3");
    assert!(old["values"][0]["probability"].is_number(), "{old}");

    kill_when(world.spawn(&keyed, "kv:scores", &more), || world.loaded() >= 3);
    let during = get(&world, "client-19999");
    assert_eq!(
        during["generation"], old["generation"],
        "the old generation serves until the new one is whole"
    );
    assert!(during["values"][0].is_null());
    world.refused(&arguments(&keyed, "kv:scores", &more), 5, "go on with --resume");
    let resume = ["--key", "client", "--batch-rows", "200", "--resume"];
    world.refused(&arguments(&small, "kv:scores", &resume), 5, "of another job");

    let World { server, token, folder } = world;
    server.kill();
    let world = World { server: Server::start(&folder.path().join("data")), token, folder };
    let resumed = world.score(&keyed, "kv:scores", &resume);
    assert!(resumed["resumed_after"].as_u64().unwrap() >= 600, "{resumed}");
    assert_eq!(resumed["chunks"], 100);
    let new = get(&world, "client-19999");
    assert!(new["values"][0]["probability"].is_number() && new["generation"] != old["generation"], "{new}");
    let same = get(&world, "client-3");
    assert_eq!(same["values"], old["values"], "the same row gets the same score");
    assert_eq!(world.score(&keyed, "kv:scores", &resume)["rows"], 0, "it is complete already");
    let tables = world.server.json(&world.token, &["kv", "list"]);
    assert_eq!((&tables[0]["rows"], &tables[0]["loading"]), (&20_000.into(), &Value::Null));
    assert_eq!(world.server.json(&world.token, &["kv", "drop", "scores"])["dropped"], "scores");
}

fn write_keyed(path: &str, rows: usize) {
    let mut text =
        "client,age,balance,campaign,contact,day,default,education,housing,job,loan,marital,month,pdays,\
                    poutcome,previous\n"
            .to_owned();
    for row in 0..rows {
        let (age, balance) = (18 + row % 70, row % 5_000);
        let rest = "1,cellular,4,no,tertiary,no,management,no,married,may,-1,unknown,0";
        writeln!(text, "client-{row},{age},{balance},{rest}").unwrap();
    }
    std::fs::write(path, text).unwrap();
}
