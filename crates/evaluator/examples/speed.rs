//! Times a model file: `speed MODEL [ROWS.f32]`.
//!
//! Owns the figures of decision record 9: one row, 1,000 rows and 100,000 rows at a time, on one thread. It refuses
//! models with text inputs. Values come from the file of little-endian single-precision numbers, row by row, or else
//! from a fixed sequence between -2 and 2.

#![expect(clippy::print_stdout, reason = "it prints its measurement")]

use std::env;
use std::fs;
use std::hint::black_box;
use std::time::{Duration, Instant};

use greenlight_evaluator::{Column, Evaluator};

const BATCHES: [usize; 5] = [1, 8, 64, 1_000, 100_000];
const LEAST: Duration = Duration::from_secs(1);
const REPEATS: usize = 5;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = env::args().skip(1);
    let path = arguments.next().ok_or("usage: speed MODEL [ROWS.f32]")?;
    let started = Instant::now();
    let model = Evaluator::from_bytes(&fs::read(path)?)?;
    println!(
        "{} inputs, {} bytes, read in {:?}",
        model.inputs().len(),
        model.memory_bytes(),
        started.elapsed()
    );
    let columns = match arguments.next() {
        Some(path) => read_columns(&fs::read(path)?, model.inputs().len()),
        None => make_columns(model.inputs().len(), 100_000),
    };
    let rows = columns.first().map_or(0, Vec::len);
    for batch in BATCHES.into_iter().filter(|batch| *batch <= rows) {
        let mut best = f64::INFINITY;
        for _ in 0..REPEATS {
            best = best.min(seconds_a_row(&model, &columns, rows, batch)?);
        }
        println!("{batch:>7} rows at a time: {:>9.0} rows/s, {:>8.3} us a row", 1.0 / best, best * 1e6);
    }
    Ok(())
}

/// Goes over all rows in batches, again and again, for at least the fifth part of [`LEAST`].
fn seconds_a_row(
    model: &Evaluator,
    columns: &[Vec<f64>],
    rows: usize,
    batch: usize,
) -> Result<f64, greenlight_evaluator::EvaluatorError> {
    let mut out = Vec::new();
    let mut scored = 0;
    let mut first = 0;
    let started = Instant::now();
    while started.elapsed() < LEAST / REPEATS as u32 {
        for _ in 0..(1_000 / batch).max(1) {
            let batch_columns: Vec<_> =
                columns.iter().map(|column| Column::Number(&column[first..first + batch])).collect();
            model.score(black_box(&batch_columns), batch, &mut out)?;
            black_box(&out);
            scored += batch;
            first = if first + 2 * batch <= rows { first + batch } else { 0 };
        }
    }
    Ok(started.elapsed().as_secs_f64() / scored as f64)
}

fn read_columns(bytes: &[u8], inputs: usize) -> Vec<Vec<f64>> {
    let (words, _) = bytes.as_chunks::<4>();
    let values: Vec<f64> = words.iter().map(|word| f64::from(f32::from_le_bytes(*word))).collect();
    (0..inputs).map(|input| values.iter().skip(input).step_by(inputs).copied().collect()).collect()
}

/// A linear congruential sequence (Knuth, The Art of Computer Programming, volume 2, 3.3.4, line 26).
fn make_columns(inputs: usize, rows: usize) -> Vec<Vec<f64>> {
    let mut state = 7_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1_u64 << 53) as f64 * 4.0 - 2.0
    };
    (0..inputs).map(|_| (0..rows).map(|_| next()).collect()).collect()
}
