//! Predictions appended per second, beside what the same disk can sync.
//!
//! `cargo run -p greenlight-lake --example append -- [FOLDER] [SECONDS]`
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::fs::OpenOptions;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use greenlight_app::lake::Lake;
use greenlight_domain::frame::{Column, Field, Frame};
use greenlight_domain::prediction::{IdKey, Prediction, PredictionBatch, PredictionId, Variant};
use greenlight_domain::time::Micros;
use greenlight_lake::LocalLake;

const ENDPOINT: &str = "bench";
type Failure = Box<dyn std::error::Error + Send + Sync>;
static NEXT: AtomicU64 = AtomicU64::new(1);

#[tokio::main]
async fn main() -> Result<(), Failure> {
    tracing_subscriber::fmt().with_env_filter("warn").init();
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().map_or_else(|| PathBuf::from("target/lake-bench"), PathBuf::from);
    let time = Duration::from_secs(arguments.next().map_or(Ok(3), |s| s.parse())?);
    std::fs::create_dir_all(&folder)?;
    println!("{:>34} {:>12.0} a second", "4 KiB write + fdatasync (the disk)", syncs(&folder, time)?);
    let root = folder.join("lake");
    let _ = std::fs::remove_dir_all(&root);
    let lake = Arc::new(LocalLake::open(&root)?);
    lake.open(ENDPOINT, fields()).await?;
    for (tasks, rows) in [(1, 1), (32, 1), (256, 1), (1, 1_000), (8, 1_000)] {
        let (appends, seconds) = measure(&lake, tasks, rows, time).await?;
        let label = format!("{tasks} tasks, {rows} rows each");
        println!(
            "{label:>34} {:>12.0} rows/s, mean wait {:.3} ms",
            appends as f64 * rows as f64 / seconds,
            seconds * tasks as f64 / appends as f64 * 1e3
        );
    }
    seal(&lake).await?;
    println!("{:>34} {:>12.0} a second", "the disk again", syncs(&folder, time)?);
    drop(lake);
    std::fs::remove_dir_all(&root)?;
    Ok(())
}

async fn seal(lake: &LocalLake) -> Result<(), Failure> {
    let start = Instant::now();
    lake.seal(ENDPOINT).await?;
    let seconds = start.elapsed().as_secs_f64();
    let rows: u64 = lake.traffic(ENDPOINT, None).await?.iter().map(|t| t.predictions).sum();
    println!("{:>34} {:>12.0} rows/s ({rows} rows in {seconds:.2} s)", "seal", rows as f64 / seconds);
    Ok(())
}

/// Syncs a second of the disk under `folder`, appending 4 KiB each time.
fn syncs(folder: &Path, time: Duration) -> std::io::Result<f64> {
    let path = folder.join("syncs");
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).open(&path)?;
    let start = Instant::now();
    let mut count = 0_u32;
    while start.elapsed() < time {
        file.seek(SeekFrom::End(0))?;
        file.write_all(&[7; 4_096])?;
        file.sync_data()?;
        count += 1;
    }
    let rate = f64::from(count) / start.elapsed().as_secs_f64();
    std::fs::remove_file(path)?;
    Ok(rate)
}

async fn measure(
    lake: &Arc<LocalLake>,
    tasks: usize,
    rows: usize,
    time: Duration,
) -> Result<(u64, f64), Failure> {
    let start = Instant::now();
    let running: Vec<_> = (0..tasks)
        .map(|_| {
            let lake = Arc::clone(lake);
            tokio::spawn(async move {
                let mut appends = 0;
                while start.elapsed() < time {
                    lake.append_predictions(ENDPOINT, &batch(rows)).await?;
                    appends += 1;
                }
                Ok::<u64, Failure>(appends)
            })
        })
        .collect();
    let mut appends = 0;
    for task in running {
        appends += task.await??;
    }
    Ok((appends, start.elapsed().as_secs_f64()))
}

/// Fifteen features, like the bank data: seven numbers, eight texts.
fn fields() -> Arc<[Field]> {
    (0..15)
        .map(|i| if i < 7 { Field::number(&format!("n{i}")) } else { Field::text(&format!("t{i}")) })
        .collect()
}

fn batch(rows: usize) -> PredictionBatch {
    let text: Arc<str> = "technician".into();
    let columns = (0..15).map(|i| {
        if i < 7 {
            Column::Number(vec![1.5; rows])
        } else {
            Column::Text(vec![Some(Arc::clone(&text)); rows])
        }
    });
    let features = Frame::new(fields(), columns.collect()).unwrap_or_else(|_| Frame::empty(fields()));
    let predictions = (0..rows).map(|_| prediction(&text)).collect();
    PredictionBatch { features, predictions }
}

fn prediction(text: &Arc<str>) -> Prediction {
    let random = NEXT.fetch_add(1, Ordering::Relaxed);
    let at = Micros(1_241_431_200_000_000 + random as i64 * 10);
    Prediction {
        id: PredictionId::issue(&IdKey([7; 16]), ENDPOINT, at, random),
        at,
        unit: Arc::clone(text),
        variant: Variant::Champion,
        propensity: 0.9,
        champion_propensity: 0.9,
        release: Some(Arc::clone(text)),
        model: Some(Arc::clone(text)),
        route_version: 3,
        probability: 0.25,
        decision: Arc::clone(text),
        champion_decision: Some(Arc::clone(text)),
        mirrors: None,
        latency_us: 40,
        error: None,
        candidates: None,
        fallback: None,
        decision_propensity: 1.0,
        feature_weight: 1.0,
        trace: None,
    }
}
