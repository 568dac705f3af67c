//! A client that posts one body over many connections, at a rate of its own or as fast as it is answered, and tells
//! accepted, refused and failed requests apart: what `bench/overload`, `bench/soak` and `bench/disk` load a server with.
//!
//! With a rate, each connection has a timetable. A request whose turn comes while the one before it is still out is
//! left out and counted as `skipped`, so that a slow server is not asked less politely later. Times are from the last
//! byte sent to the last byte received. `--ids` writes the prediction ids of accepted requests, 16 bytes each.

#![expect(clippy::print_stdout, reason = "a benchmark tells what it measured")]

use std::error::Error;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, sleep_until, timeout};

type Failure = Box<dyn Error + Send + Sync>;

/// Longest wait for one answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Buckets of a histogram for each doubling of a time.
const FINENESS: f64 = 64.0;

const USAGE: &str = "load --to HOST:PORT --path PATH --body FILE [--type TYPE] [--token TOKEN] [--connections N] \
                     [--rate PER_SECOND] [--seconds N] [--every SECONDS] [--ids FILE]";

/// What every connection needs to know.
struct Plan {
    to: String,
    request: Vec<u8>,
    connections: usize,
    /// Time between two requests of one connection; none as fast as they are answered.
    pause: Option<Duration>,
    began: Instant,
    until: Instant,
}

/// Times in microseconds, by the logarithm.
#[derive(Default, Clone)]
struct Histogram {
    counts: Vec<u64>,
}

impl Histogram {
    fn add(&mut self, time: Duration) {
        let at = ((time.as_micros() as f64).max(1.0).log2() * FINENESS) as usize;
        if at >= self.counts.len() {
            self.counts.resize(at + 1, 0);
        }
        self.counts[at] += 1;
    }

    /// Milliseconds that a share of the requests took at most.
    fn quantile_ms(&self, share: f64) -> f64 {
        let wanted = self.counts.iter().sum::<u64>() as f64 * share;
        let mut seen = 0.0;
        let found = self.counts.iter().position(|count| {
            seen += *count as f64;
            seen >= wanted && seen > 0.0
        });
        found.map_or(0.0, |at| ((at as f64 + 1.0) / FINENESS).exp2() / 1e3)
    }

    fn json(&self) -> Value {
        json!({ "p50_ms": self.quantile_ms(0.5), "p99_ms": self.quantile_ms(0.99),
                "p999_ms": self.quantile_ms(0.999), "max_ms": self.quantile_ms(1.0) })
    }
}

/// What came of the requests.
#[derive(Default, Clone)]
struct Tally {
    accepted: u64,
    /// Answers with status 503.
    refused: u64,
    /// Those of them that do not say when to come back.
    without_retry_after: u64,
    /// Any other answer.
    errors: u64,
    /// Connections that ended in the middle, or answers that did not come.
    broken: u64,
    skipped: u64,
    accepted_times: Histogram,
    refused_times: Histogram,
    /// The first few things that went wrong.
    complaints: Vec<String>,
}

impl Tally {
    fn complain(&mut self, text: &str) {
        let text: String = text.chars().take(300).collect();
        if self.complaints.len() < 5 && !self.complaints.contains(&text) {
            self.complaints.push(text);
        }
    }

    fn json(&self, seconds: f64) -> Value {
        json!({
            "seconds": seconds, "accepted": self.accepted, "accepted_per_s": self.accepted as f64 / seconds,
            "refused": self.refused, "without_retry_after": self.without_retry_after, "errors": self.errors,
            "broken": self.broken, "skipped": self.skipped, "accepted_times": self.accepted_times.json(),
            "refused_times": self.refused_times.json(), "complaints": self.complaints,
        })
    }
}

struct Shared {
    /// Since the start, and since the last line that was printed.
    tallies: [Tally; 2],
    ids: Option<BufWriter<File>>,
}

impl Shared {
    fn note(shared: &Mutex<Self>, note: impl Fn(&mut Tally)) {
        shared.lock().unwrap_or_else(PoisonError::into_inner).tallies.iter_mut().for_each(note);
    }
}

struct Options(Vec<String>);

impl Options {
    fn text(&self, name: &str) -> Option<&str> {
        let at = self.0.iter().position(|argument| argument == name)?;
        self.0.get(at + 1).map(String::as_str)
    }

    fn needed(&self, name: &str) -> Result<&str, Failure> {
        self.text(name).ok_or_else(|| format!("{name} is missing: {USAGE}").into())
    }

    fn number(&self, name: &str, default: f64) -> Result<f64, Failure> {
        self.text(name)
            .map_or(Ok(default), |text| text.parse().map_err(|_| format!("{name}: no number").into()))
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let options = Options(std::env::args().skip(1).collect());
    let seconds = options.number("--seconds", 5.0)?;
    let plan = Arc::new(plan(&options, seconds)?);
    let ids = options.text("--ids").map(File::create).transpose()?.map(BufWriter::new);
    let shared = Arc::new(Mutex::new(Shared { tallies: Default::default(), ids }));
    let tasks: Vec<_> = (0..plan.connections)
        .map(|place| tokio::spawn(connection(Arc::clone(&plan), place, Arc::clone(&shared))))
        .collect();
    let every = options.number("--every", 0.0)?;
    if every > 0.0 {
        tokio::spawn(progress(Arc::clone(&plan), every, Arc::clone(&shared)));
    }
    for task in tasks {
        task.await?;
    }
    let took = plan.began.elapsed().as_secs_f64();
    let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(ids) = &mut shared.ids {
        ids.flush()?;
    }
    println!("{}", shared.tallies[0].json(took));
    Ok(())
}

fn plan(options: &Options, seconds: f64) -> Result<Plan, Failure> {
    let body = std::fs::read(options.needed("--body")?)?;
    let (to, path) = (options.needed("--to")?.to_owned(), options.needed("--path")?);
    let content_type = options.text("--type").unwrap_or("application/json");
    let authorization =
        options.text("--token").map_or(String::new(), |token| format!("Authorization: Bearer {token}\r\n"));
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {to}\r\nContent-Type: {content_type}\r\n{authorization}Content-Length: {}\r\n\r\n",
        body.len()
    );
    let connections = options.number("--connections", 32.0)?.max(1.0) as usize;
    let rate = options.number("--rate", 0.0)?;
    let pause = (rate > 0.0).then(|| Duration::from_secs_f64(connections as f64 / rate));
    let began = Instant::now();
    let until = began + Duration::from_secs_f64(seconds);
    Ok(Plan { to, request: [head.as_bytes(), &body].concat(), connections, pause, began, until })
}

/// Prints what came of the requests since the last time.
async fn progress(plan: Arc<Plan>, every: f64, shared: Arc<Mutex<Shared>>) {
    while Instant::now() < plan.until {
        sleep(Duration::from_secs_f64(every)).await;
        let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
        let tally = std::mem::take(&mut shared.tallies[1]);
        println!("{}", tally.json(every));
    }
}

/// Asks over one connection after the other until the time is up.
async fn connection(plan: Arc<Plan>, place: usize, shared: Arc<Mutex<Shared>>) {
    let spread =
        plan.pause.unwrap_or(Duration::from_millis(100)).mul_f64(place as f64 / plan.connections as f64);
    let mut turn = plan.began + spread;
    while Instant::now() < plan.until {
        if let Err(error) = converse(&plan, &mut turn, &shared).await {
            Shared::note(&shared, |tally| {
                tally.broken += 1;
                tally.complain(&error.to_string());
            });
            sleep(Duration::from_millis(50)).await;
        }
    }
}

async fn converse(plan: &Plan, turn: &mut Instant, shared: &Mutex<Shared>) -> Result<(), Failure> {
    let mut stream =
        timeout(PATIENCE, TcpStream::connect(&plan.to)).await.map_err(|_| "no connection in time")??;
    stream.set_nodelay(true)?;
    let mut buffer = Vec::with_capacity(4_096);
    loop {
        if let Some(pause) = plan.pause {
            let late = Instant::now().saturating_duration_since(*turn);
            let skipped = (late.as_secs_f64() / pause.as_secs_f64()) as u32;
            if skipped > 0 {
                Shared::note(shared, |tally| tally.skipped += u64::from(skipped));
                *turn += pause * skipped;
            }
            sleep_until(*turn).await;
            *turn += pause;
        } else if *turn > Instant::now() {
            sleep_until(*turn).await;
        }
        if Instant::now() >= plan.until {
            return Ok(());
        }
        stream.write_all(&plan.request).await?;
        let sent = Instant::now();
        let answer = timeout(PATIENCE, read_answer(&mut stream, &mut buffer)).await;
        let answer = answer.map_err(|_| "an answer did not come in time")??;
        note_answer(&buffer, &answer, sent.elapsed(), shared)?;
        buffer.drain(..answer.ends);
    }
}

/// Where the parts of an answer are.
struct Answer {
    status: u16,
    head: usize,
    ends: usize,
}

async fn read_answer(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Result<Answer, Failure> {
    loop {
        if let Some(head) = buffer.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4) {
            let text = str::from_utf8(&buffer[..head])?;
            let status = text.get(9..12).ok_or("no status")?.parse()?;
            let length: usize = header(text, "content-length").ok_or("no Content-Length")?.parse()?;
            if buffer.len() >= head + length {
                return Ok(Answer { status, head, ends: head + length });
            }
        }
        if stream.read_buf(buffer).await? == 0 {
            return Err("the server closed the connection before it answered".into());
        }
    }
}

fn header<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    head.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

fn note_answer(
    buffer: &[u8],
    answer: &Answer,
    took: Duration,
    shared: &Mutex<Shared>,
) -> Result<(), Failure> {
    let body = &buffer[answer.head..answer.ends];
    let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
    if answer.status == 200
        && let Some(ids) = &mut shared.ids
    {
        ids.write_all(&prediction_id(body).ok_or("an answer without prediction_id")?)?;
    }
    let waits = header(str::from_utf8(&buffer[..answer.head])?, "retry-after").is_some();
    for tally in &mut shared.tallies {
        match answer.status {
            200 => {
                tally.accepted += 1;
                tally.accepted_times.add(took);
            }
            503 => {
                tally.refused += 1;
                tally.without_retry_after += u64::from(!waits);
                tally.refused_times.add(took);
                tally.complain(&String::from_utf8_lossy(body));
            }
            other => {
                tally.errors += 1;
                tally.complain(&format!("{other}: {}", String::from_utf8_lossy(body)));
            }
        }
    }
    Ok(())
}

/// The bytes of the first id of an answer.
fn prediction_id(body: &[u8]) -> Option<[u8; 16]> {
    let name = b"\"prediction_id\"";
    let at = body.windows(name.len()).position(|window| window == name)? + name.len();
    let start = at + body[at..].windows(2).position(|window| window == b"[\"")? + 2;
    let text = str::from_utf8(body.get(start..start + 36)?).ok()?.replace('-', "");
    u128::from_str_radix(&text, 16).ok().map(u128::to_be_bytes)
}
