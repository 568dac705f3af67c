//! Fills a lake with predictions of the bank's endpoint and their outcomes, for `bench/settle`.
//!
//! `cargo run -p greenlight-lake --example fill -- LAKE PREDICTIONS FROM UNTIL SEED [FROM UNTIL PREDICTIONS SEED EVERY]`
//!
//! Three in ten predictions get an outcome. The last five arguments name an earlier call: every so many of the predictions in
//! the last tenth of its time get a second outcome, which contradicts the first.
#![expect(clippy::print_stdout, reason = "a benchmark says what it wrote")]

use std::sync::Arc;

use greenlight_app::lake::Lake;
use greenlight_domain::frame::{Column, Field, Frame};
use greenlight_domain::prediction::{IdKey, Outcome, Prediction, PredictionBatch, PredictionId, Variant};
use greenlight_domain::time::Micros;
use greenlight_lake::LocalLake;

const ENDPOINT: &str = "term-deposit-calls";
const ROWS: u64 = 8_192;
/// Most rows that wait in segments.
const SEAL_EVERY: u64 = 2_000_000;
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The predictions of a stretch of time, evenly spread; each a function of its number alone.
struct Stretch {
    from: Micros,
    until: Micros,
    predictions: u64,
    seed: u64,
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    tracing_subscriber::fmt().with_env_filter("warn").init();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [root, predictions, from, until, seed, rest @ ..] = arguments.as_slice() else {
        return Err(
            "LAKE PREDICTIONS FROM UNTIL SEED [CORRECTED_FROM CORRECTED_PREDICTIONS SEED EVERY]".into()
        );
    };
    let stretch = Stretch {
        from: from.parse()?,
        until: until.parse()?,
        predictions: predictions.parse()?,
        seed: seed.parse()?,
    };
    let lake = LocalLake::open(root)?;
    lake.open(ENDPOINT, fields()).await?;
    let mut outcomes = 0;
    let mut start = 0;
    while start < stretch.predictions {
        let rows: Vec<u64> = (start..stretch.predictions.min(start + ROWS)).collect();
        lake.append_predictions(ENDPOINT, &batch(&stretch, &rows)).await?;
        let happened: Vec<Outcome> = rows
            .iter()
            .filter(|row| random(stretch.seed, **row) % 10 < 3)
            .map(|row| outcome(&stretch, *row, 1))
            .collect();
        outcomes += happened.len();
        lake.append_outcomes(ENDPOINT, happened).await?;
        start += ROWS;
        if start % SEAL_EVERY < ROWS {
            lake.seal(ENDPOINT).await?;
        }
    }
    if let [from, until, predictions, seed, every] = rest {
        let earlier = Stretch {
            from: from.parse()?,
            until: until.parse()?,
            predictions: predictions.parse()?,
            seed: seed.parse()?,
        };
        let every: u64 = every.parse()?;
        // The last tenth of the earlier stretch, every so many rows: what was seen is taken back.
        let corrected: Vec<Outcome> = (earlier.predictions / 10 * 9..earlier.predictions)
            .filter(|row| row % every == 0)
            .map(|row| outcome(&earlier, row, 2))
            .collect();
        outcomes += corrected.len();
        lake.append_outcomes(ENDPOINT, corrected).await?;
    }
    lake.seal(ENDPOINT).await?;
    println!("{} predictions, {outcomes} outcomes", stretch.predictions);
    Ok(())
}

/// The features of the bank's endpoint: numbers with their range, and texts.
const NUMBERS: [(&str, f64, f64); 6] = [
    ("age", 18.0, 90.0),
    ("balance", -500.0, 5_000.0),
    ("campaign", 1.0, 9.0),
    ("day", 1.0, 31.0),
    ("pdays", -1.0, 300.0),
    ("previous", 0.0, 5.0),
];
const TEXTS: [&str; 9] =
    ["contact", "default", "education", "housing", "job", "loan", "marital", "month", "poutcome"];

fn fields() -> Arc<[Field]> {
    NUMBERS
        .iter()
        .map(|(name, ..)| Field::number(name))
        .chain(TEXTS.iter().map(|name| Field::text(name)))
        .collect()
}

/// SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
fn random(seed: u64, row: u64) -> u64 {
    let mut z = seed.wrapping_add(row.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

fn at(stretch: &Stretch, row: u64) -> Micros {
    let span = i128::from(stretch.until.0 - stretch.from.0);
    let offset = span * i128::from(row) / i128::from(stretch.predictions.max(1));
    Micros(stretch.from.0 + i64::try_from(offset).unwrap_or(0))
}

fn id(stretch: &Stretch, row: u64) -> PredictionId {
    PredictionId::issue(&IdKey([7; 16]), ENDPOINT, at(stretch, row), random(stretch.seed ^ 1, row))
}

/// The first outcome is a sale; a correction says that there was none where there was one, and one where there was none.
fn outcome(stretch: &Stretch, row: u64, turn: u64) -> Outcome {
    let sold = random(stretch.seed, row) % 10 < 3;
    let value = f64::from(u8::from(sold == (turn == 1)));
    let happened = at(stretch, row).plus_days(2);
    Outcome { prediction_id: id(stretch, row), name: "subscribed".into(), value, at: happened }
}

fn batch(stretch: &Stretch, rows: &[u64]) -> PredictionBatch {
    let words = ["one", "another", "third", "last"];
    let numbers = NUMBERS.iter().zip(2..).map(|((_, least, most), salt)| {
        let share = |row: &u64| (random(stretch.seed ^ salt, *row) >> 11) as f64 / (1_u64 << 53) as f64;
        Column::Number(rows.iter().map(|row| (least + (most - least) * share(row)).round()).collect())
    });
    let texts = (20..).take(TEXTS.len()).map(|salt| {
        let word = |row: &u64| words[(random(stretch.seed ^ salt, *row) % 4) as usize];
        Column::Text(rows.iter().map(|row| Some(word(row).into())).collect())
    });
    let columns = numbers.chain(texts).collect();
    let features = Frame::new(fields(), columns).unwrap_or_else(|_| Frame::empty(fields()));
    PredictionBatch { features, predictions: rows.iter().map(|row| prediction(stretch, *row)).collect() }
}

fn prediction(stretch: &Stretch, row: u64) -> Prediction {
    let dice = random(stretch.seed ^ 7, row);
    let champion = dice.is_multiple_of(2);
    let wanted: Arc<str> = if dice % 20 < 12 { "call" } else { "skip" }.into();
    Prediction {
        id: id(stretch, row),
        at: at(stretch, row),
        unit: format!("client-{row}").into(),
        variant: if champion { Variant::Champion } else { Variant::Holdout },
        propensity: 0.5,
        champion_propensity: 0.5,
        release: Some("term-deposit-calls.1".into()),
        model: Some("calls-boosted@1".into()),
        route_version: 3,
        probability: (dice >> 11) as f64 / (1_u64 << 53) as f64,
        decision: if champion { Arc::clone(&wanted) } else { "call".into() },
        champion_decision: Some(wanted),
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
