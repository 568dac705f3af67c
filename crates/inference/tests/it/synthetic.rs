//! Seeded data whose law is known, and the two numbers that judge a ranking and a level.

use std::sync::Arc;

use greenlight_domain::frame::{Column, Field, Frame};

/// Splitmix64 (Steele, Lea and Flood, 2014): small, seeded, the same everywhere.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Between 0 and 1.
    pub(crate) fn uniform(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Standard normal, by Box and Muller.
    pub(crate) fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }
}

pub(crate) fn frame(columns: Vec<(&str, Column)>) -> Frame {
    let fields: Arc<[Field]> = columns
        .iter()
        .map(|(name, column)| Field { name: (*name).into(), column_type: column.column_type() })
        .collect();
    Frame::new(fields, columns.into_iter().map(|(_, column)| column).collect()).unwrap()
}

pub(crate) fn texts(texts: &[&str]) -> Column {
    Column::Text(texts.iter().map(|text| Some(Arc::from(*text))).collect())
}

/// Rows of `age` (mean 40, standard deviation 10), `balance` (standard normal), `job` (three texts) and `noise`,
/// and outcomes whose logit is
/// `intercept + 0.8 · (age - 40) / 10 - 0.5 · balance + {clerk: 0, doctor: 1, farmer: -1}`.
pub(crate) fn bank(seed: u64, rows: usize, intercept: f64) -> (Frame, Vec<bool>) {
    let mut random = Random(seed);
    let (mut age, mut balance, mut job, mut noise) = (vec![], vec![], vec![], vec![]);
    let mut outcomes = vec![];
    for _ in 0..rows {
        let (z, b) = (random.normal(), random.normal());
        let (text, effect) =
            [("clerk", 0.0), ("doctor", 1.0), ("farmer", -1.0)][(random.bits() % 3) as usize];
        let logit = intercept + 0.8 * z - 0.5 * b + effect;
        outcomes.push(random.uniform() < 1.0 / (1.0 + (-logit).exp()));
        age.push(40.0 + 10.0 * z);
        balance.push(b);
        job.push(Some(Arc::from(text)));
        noise.push(random.normal());
    }
    let columns = vec![
        ("age", Column::Number(age)),
        ("balance", Column::Number(balance)),
        ("job", Column::Text(job)),
        ("noise", Column::Number(noise)),
    ];
    (frame(columns), outcomes)
}

/// The share of pairs (one positive, one negative) that the scores put in the right order, ties counting half.
pub(crate) fn auc(scores: &[f64], outcomes: &[bool]) -> f64 {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|a, b| scores[*a].total_cmp(&scores[*b]));
    let (mut negatives, mut right) = (0.0, 0.0);
    for tied in order.chunk_by(|a, b| scores[*a].total_cmp(&scores[*b]).is_eq()) {
        let positive = tied.iter().filter(|row| outcomes[**row]).count() as f64;
        let negative = tied.len() as f64 - positive;
        right += positive * (negatives + negative / 2.0);
        negatives += negative;
    }
    right / (negatives * (scores.len() as f64 - negatives))
}

pub(crate) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

pub(crate) fn share(outcomes: &[bool]) -> f64 {
    outcomes.iter().filter(|outcome| **outcome).count() as f64 / outcomes.len() as f64
}
