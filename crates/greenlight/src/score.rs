//! Scoring a batch: read a chunk, score it, write it exactly once, note it, go on.
//!
//! The process may die anywhere. Chunks have numbers that depend on the job alone, and where they go remembers the
//! last one, so that the run that resumes gives what one run would have given. Refuses to resume another job.

mod journal;
mod model;
mod output;

use std::sync::Arc;
use std::time::{Duration, Instant};

use greenlight_app::AppError;
use greenlight_lake::score::{Piece, Reader, Source};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use tokio::sync::mpsc;

use crate::client::Client;
use crate::failure::Failure;
pub(crate) use journal::Job;
pub(crate) use model::{Scorer, Which};
use output::Output;
pub(crate) use output::Target;

/// What to score, with what, and where the results go.
pub(crate) struct Plan {
    pub which: Which,
    pub input: String,
    pub target: Target,
    pub keep: Vec<String>,
    pub batch_rows: usize,
    /// Seconds after which a key-value table reads as missing.
    pub expires_seconds: Option<u64>,
    pub resume: bool,
    pub force: bool,
    /// Whether to draw a progress bar.
    pub progress: bool,
}

/// What a job did.
#[derive(Debug, Serialize)]
pub(crate) struct Scored {
    pub rows: u64,
    /// Rows that an earlier run had written.
    pub resumed_after: u64,
    pub chunks: u64,
    pub seconds: f64,
    pub rows_per_second: f64,
    pub model: String,
    pub endpoint: Option<String>,
    pub output: String,
}

/// Runs a job to its end.
pub(crate) async fn run(client: &Client, plan: Plan) -> Result<Scored, Failure> {
    let started = Instant::now();
    let scorer = Scorer::fetch(client, &plan.which).await?;
    let pinned = if plan.resume { journal::pinned_version(&plan.target)? } else { None };
    let source = Source::open(&plan.input, pinned).await.map_err(AppError::from)?;
    source.check(scorer.features(), &plan.keep).map_err(AppError::from)?;
    let job = Job::new(&source, &scorer, &plan);
    let mut output = Output::open(client, &plan, job).await?;
    let done = output.durable();
    let skip = done * plan.batch_rows as u64;
    let bar = bar(source.rows(), skip, plan.progress);
    let mut rows = 0;
    let mut chunks = done;
    if !output.is_complete() {
        let reader = Reader::open(&source, Arc::clone(scorer.features()), &plan.keep, skip);
        let mut pieces = read(reader.map_err(AppError::from)?, plan.batch_rows);
        while let Some(chunk) = pieces.recv().await {
            let chunk = chunk?;
            let scored = tokio::task::block_in_place(|| scorer.score(&chunk))?;
            chunks += 1;
            output.write(chunks, scored).await?;
            let fresh = chunk.iter().map(|piece| piece.kept.num_rows() as u64).sum::<u64>();
            rows += fresh;
            bar.inc(fresh);
        }
        if chunks == 0 {
            output.discard().await?;
            return Err(Failure::Input(format!("{} has no rows; nothing was written", plan.input)));
        }
        output.finish(chunks).await?;
    }
    bar.finish_and_clear();
    let seconds = started.elapsed().as_secs_f64();
    Ok(Scored {
        rows,
        resumed_after: skip.min(source.rows().unwrap_or(skip)),
        chunks,
        seconds,
        rows_per_second: rows as f64 / seconds.max(1e-9),
        model: scorer.reference().to_owned(),
        endpoint: scorer.endpoint().map(str::to_owned),
        output: plan.target.to_string(),
    })
}

/// Reads chunks on a thread of its own, at most one ahead.
fn read(mut reader: Reader, rows: usize) -> mpsc::Receiver<Result<Vec<Piece>, Failure>> {
    let (sender, receiver) = mpsc::channel(1);
    std::thread::spawn(move || {
        loop {
            let chunk = reader.next_chunk(rows).map_err(|e| AppError::from(e).into());
            let last = chunk.as_ref().map_or(true, Vec::is_empty);
            if matches!(&chunk, Ok(pieces) if pieces.is_empty()) {
                return;
            }
            // Nobody listens any more: the job has failed elsewhere.
            if sender.blocking_send(chunk).is_err() || last {
                return;
            }
        }
    });
    receiver
}

fn bar(rows: Option<u64>, done: u64, shown: bool) -> ProgressBar {
    let bar = ProgressBar::new(rows.unwrap_or(0));
    // Draws nothing where standard error is not a terminal.
    bar.set_draw_target(if shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() });
    let template = if rows.is_some() {
        "{bar:30} {human_pos} of {human_len} rows  {per_sec}  {eta} left"
    } else {
        "{spinner} {human_pos} rows  {per_sec}"
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar.set_position(done);
    bar.reset_eta();
    bar
}
