//! What is in a data set: for each column how many values are missing, how they are spread, which occur most.
//!
//! Built batch by batch in bounded memory. Counts, ranges, means and deviations are of all rows. Quantiles and histograms
//! are of all rows up to [`SAMPLE`] values and of a uniform sample of that many beyond (algorithm R of Vitter 1985,
//! "Random sampling with a reservoir", seeded, so that the same data give the same profile). Refuses to guess: a number
//! of distinct values beyond [`MAX_DISTINCT`] is not known.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use greenlight_stats::moments::Moments;
use greenlight_stats::quantile::quantile;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::evidence::hex;
use crate::frame::Column;

/// Values of a column that quantiles and histograms are taken from.
pub const SAMPLE: usize = 50_000;
/// Distinct values of a column that are told apart.
pub const MAX_DISTINCT: usize = 10_000;
/// Longest text that is told from another by its own words; longer ones count by their beginning.
const MAX_TEXT: usize = 200;
/// Bins of a histogram.
const BINS: usize = 30;
/// Texts that are shown.
const TOP: usize = 10;
/// The quantiles that are kept.
pub const QUANTILES: [f64; 7] = [0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99];

/// What a column holds, for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Content {
    /// Numbers or flags.
    Number,
    /// Moments, as epoch microseconds.
    Time,
    /// Text.
    Text,
    /// Lists, structures, bytes: counted, not looked into.
    Other,
}

/// Numbers of a column, missing ones left out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// Smallest.
    pub min: f64,
    /// Largest.
    pub max: f64,
    /// Arithmetic mean.
    pub mean: f64,
    /// Sample standard deviation; absent for one value.
    pub standard_deviation: Option<f64>,
    /// The values at [`QUANTILES`].
    pub quantiles: Vec<f64>,
    /// Values in bins of equal width from `min` to `max`.
    pub histogram: Vec<u64>,
    /// How many values quantiles and histogram were taken from.
    pub sampled: u64,
}

/// A text and how often it occurs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopValue {
    /// The text, cut where it is long.
    pub value: String,
    /// Rows that hold it.
    pub count: u64,
}

/// One column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ColumnProfile {
    /// Its name.
    pub name: String,
    /// Its type in the words of the file's format, such as `Int64`.
    #[serde(rename = "type")]
    pub column_type: String,
    /// What it holds.
    pub content: Content,
    /// Rows without a value.
    pub missing: u64,
    /// Distinct values; absent when there are more than [`MAX_DISTINCT`].
    pub distinct: Option<u64>,
    /// How its numbers are spread; absent without a number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spread: Option<Spread>,
    /// The texts that occur most, among the first [`MAX_DISTINCT`] distinct ones; their counts are exact.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub top: Vec<TopValue>,
}

/// A whole data set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    /// Rows.
    pub rows: u64,
    /// SHA-256 over all values of all columns in the order of the rows, whatever file holds them.
    pub digest: String,
    /// Columns in the order of the file.
    pub columns: Vec<ColumnProfile>,
}

impl Profile {
    /// The column of that name.
    pub fn column(&self, name: &str) -> Option<&ColumnProfile> {
        self.columns.iter().find(|column| column.name == name)
    }
}

/// Takes in a column batch by batch.
#[derive(Debug)]
pub struct ColumnProfiler {
    name: String,
    column_type: String,
    content: Content,
    hasher: Sha256,
    rows: u64,
    missing: u64,
    /// Of the differences from the first number, so that moments in time keep their digits.
    moments: Moments,
    centre: f64,
    range: (f64, f64),
    sample: Vec<f64>,
    seen: u64,
    random: u64,
    texts: HashMap<Arc<str>, u64>,
    bits: HashSet<u64>,
    overflown: bool,
    /// Whether every text so far was a number.
    numeric: bool,
}

impl ColumnProfiler {
    /// Begins with a column. Texts of a format without types may turn out to be numbers: say so with `untyped`.
    pub fn new(name: &str, column_type: &str, content: Content, untyped: bool) -> Self {
        Self {
            name: name.to_owned(),
            column_type: column_type.to_owned(),
            content,
            hasher: Sha256::new(),
            rows: 0,
            missing: 0,
            moments: Moments::default(),
            centre: 0.0,
            range: (f64::INFINITY, f64::NEG_INFINITY),
            sample: Vec::new(),
            seen: 0,
            random: 0x9e37_79b9_7f4a_7c15,
            texts: HashMap::new(),
            bits: HashSet::new(),
            overflown: false,
            numeric: untyped,
        }
    }

    /// Takes in values, and the bytes that stand for them in the digest.
    pub fn absorb(&mut self, values: &Column, bytes: &[u8]) {
        self.hasher.update(bytes);
        self.rows += values.len() as u64;
        match values {
            Column::Number(numbers) => {
                for number in numbers {
                    self.number(*number);
                }
            }
            Column::Text(texts) => {
                for text in texts {
                    self.text(text.as_ref());
                }
            }
        }
    }

    /// Takes in rows that are only counted.
    pub fn absorb_opaque(&mut self, rows: u64, missing: u64, bytes: &[u8]) {
        self.hasher.update(bytes);
        self.rows += rows;
        self.missing += missing;
        self.overflown = true;
    }

    fn number(&mut self, number: f64) {
        if number.is_nan() {
            self.missing += 1;
            return;
        }
        // Minus zero and zero are one value.
        self.keep_distinct((number + 0.0).to_bits());
        self.spread(number);
    }

    fn spread(&mut self, number: f64) {
        self.range = (self.range.0.min(number), self.range.1.max(number));
        if !number.is_finite() {
            return;
        }
        if self.seen == 0 {
            self.centre = number;
        }
        self.moments.push(number - self.centre);
        self.seen += 1;
        if self.sample.len() < SAMPLE {
            self.sample.push(number);
            return;
        }
        let at = self.next_random() % self.seen;
        if let Some(place) = usize::try_from(at).ok().and_then(|at| self.sample.get_mut(at)) {
            *place = number;
        }
    }

    /// `xorshift64*` (Vigna 2016): enough for a sample, and the same everywhere.
    fn next_random(&mut self) -> u64 {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        self.random.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn keep_distinct(&mut self, bits: u64) {
        if self.overflown {
            return;
        }
        if self.bits.len() >= MAX_DISTINCT && !self.bits.contains(&bits) {
            self.overflown = true;
            self.bits = HashSet::new();
            return;
        }
        self.bits.insert(bits);
    }

    fn text(&mut self, text: Option<&Arc<str>>) {
        let Some(text) = text.filter(|text| !(self.numeric && text.is_empty())) else {
            self.missing += 1;
            return;
        };
        if self.numeric {
            match text.trim().parse() {
                Ok(number) => self.spread(number),
                Err(_) => self.numeric = false,
            }
        }
        if let Some(count) = self.texts.get_mut(cut(text)) {
            *count += 1;
        } else if self.texts.len() < MAX_DISTINCT {
            let kept = if text.len() > MAX_TEXT { cut(text).into() } else { Arc::clone(text) };
            self.texts.insert(kept, 1);
        } else {
            self.overflown = true;
        }
    }

    /// The profile of the column and its part of the digest.
    fn finish(mut self) -> (ColumnProfile, [u8; 32]) {
        let present = self.rows - self.missing;
        if self.numeric && self.content == Content::Text && present > 0 {
            self.content = Content::Number;
            "Text, all numbers".clone_into(&mut self.column_type);
        }
        let spread =
            matches!(self.content, Content::Number | Content::Time).then(|| self.spread_of()).flatten();
        let distinct = match self.content {
            Content::Other => None,
            _ if self.overflown => None,
            _ => Some(self.texts.len().max(self.bits.len()) as u64),
        };
        let top = if self.content == Content::Text { top(&self.texts) } else { Vec::new() };
        let profile = ColumnProfile {
            name: self.name,
            column_type: self.column_type,
            content: self.content,
            missing: self.missing,
            distinct,
            spread,
            top,
        };
        (profile, self.hasher.finalize().into())
    }

    fn spread_of(&mut self) -> Option<Spread> {
        let mean = self.moments.mean()? + self.centre;
        let quantiles =
            QUANTILES.iter().map(|q| quantile(&mut self.sample, *q).ok()).collect::<Option<Vec<_>>>()?;
        let (first, last) = (*self.sample.first()?, *self.sample.last()?);
        let min = if self.range.0.is_finite() { self.range.0 } else { first };
        let max = if self.range.1.is_finite() { self.range.1 } else { last };
        let mut histogram = vec![0; if max > min { BINS } else { 1 }];
        let bins = histogram.len();
        for value in &self.sample {
            let share = if max > min { (value - min) / (max - min) } else { 0.0 };
            histogram[((share * bins as f64) as usize).min(bins - 1)] += 1;
        }
        Some(Spread {
            min,
            max,
            mean,
            standard_deviation: self.moments.variance().map(f64::sqrt),
            quantiles,
            histogram,
            sampled: self.sample.len() as u64,
        })
    }
}

fn cut(text: &str) -> &str {
    if text.len() <= MAX_TEXT {
        return text;
    }
    &text[..text.floor_char_boundary(MAX_TEXT)]
}

fn top(texts: &HashMap<Arc<str>, u64>) -> Vec<TopValue> {
    let mut by_count: BTreeSet<(std::cmp::Reverse<u64>, &str)> = BTreeSet::new();
    for (text, count) in texts {
        by_count.insert((std::cmp::Reverse(*count), text));
        if by_count.len() > TOP {
            by_count.pop_last();
        }
    }
    by_count.into_iter().map(|(count, text)| TopValue { value: text.to_owned(), count: count.0 }).collect()
}

/// The profile of a data set whose columns were taken in.
///
/// The digest is that over the names of the columns and the digests of their values, so that the same values in another
/// file, in other row groups or compressed otherwise, have the same digest.
pub fn finish(rows: u64, columns: Vec<ColumnProfiler>) -> Profile {
    let mut hasher = Sha256::new();
    hasher.update(rows.to_le_bytes());
    let mut profiles = Vec::with_capacity(columns.len());
    for column in columns {
        let (profile, digest) = column.finish();
        hasher.update((profile.name.len() as u64).to_le_bytes());
        hasher.update(profile.name.as_bytes());
        hasher.update(digest);
        profiles.push(profile);
    }
    Profile { rows, digest: hex(&hasher.finalize()), columns: profiles }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(content: Content, untyped: bool, values: &Column) -> ColumnProfile {
        let mut profiler = ColumnProfiler::new("c", "type", content, untyped);
        profiler.absorb(values, b"");
        finish(values.len() as u64, vec![profiler]).columns.remove(0)
    }

    #[test]
    fn numbers_have_a_spread_and_missing_ones_are_counted() {
        let mut numbers: Vec<f64> = (0..=100).map(f64::from).collect();
        numbers.push(f64::NAN);
        let column = profile(Content::Number, false, &Column::Number(numbers));
        let spread = column.spread.unwrap();
        assert_eq!((column.missing, column.distinct), (1, Some(101)));
        assert_eq!((spread.min, spread.max, spread.mean), (0.0, 100.0, 50.0));
        assert_eq!(spread.quantiles, [1.0, 5.0, 25.0, 50.0, 75.0, 95.0, 99.0]);
        assert_eq!(spread.histogram.iter().sum::<u64>(), 101);
        assert_eq!(spread.histogram.len(), BINS);
    }

    #[test]
    fn a_sample_stands_for_many_and_counts_are_of_all() {
        let numbers: Vec<f64> = (0..200_000).map(f64::from).collect();
        let column = profile(Content::Number, false, &Column::Number(numbers));
        let spread = column.spread.unwrap();
        assert_eq!(column.distinct, None);
        assert_eq!((spread.min, spread.max, spread.sampled), (0.0, 199_999.0, SAMPLE as u64));
        // The median of a sample of 50,000 has a standard error of 200,000 / (2 * sqrt(50,000)), about 450.
        assert!((spread.quantiles[3] - 100_000.0).abs() < 5.0 * 450.0, "{}", spread.quantiles[3]);
    }

    #[test]
    fn texts_are_counted_and_texts_that_are_numbers_are_numbers() {
        let text = |t: &str| Some(Arc::from(t));
        let column = profile(
            Content::Text,
            false,
            &Column::Text(vec![text("b"), text("a"), text("b"), None, text("1")]),
        );
        assert_eq!(column.top[0], TopValue { value: "b".into(), count: 2 });
        assert_eq!((column.missing, column.distinct, column.content), (1, Some(3), Content::Text));
        let column = profile(
            Content::Text,
            true,
            &Column::Text(vec![text("1"), text(""), text(" 2.5 "), text("-1e3")]),
        );
        assert_eq!((column.content, column.missing), (Content::Number, 1));
        assert_eq!(column.spread.unwrap().min, -1000.0);
        let column = profile(Content::Text, true, &Column::Text(vec![text("1"), text("x")]));
        assert_eq!((column.content, column.distinct), (Content::Text, Some(2)));
    }

    #[test]
    fn nothing_at_all_and_nothing_finite_are_no_spread() {
        assert_eq!(profile(Content::Number, false, &Column::Number(vec![])).spread, None);
        let column = profile(Content::Number, false, &Column::Number(vec![f64::INFINITY, f64::NAN]));
        assert_eq!((column.spread, column.missing), (None, 1));
        let one = profile(Content::Number, false, &Column::Number(vec![7.0])).spread.unwrap();
        assert_eq!((one.histogram.as_slice(), one.standard_deviation), ([1].as_slice(), None));
    }

    #[test]
    fn the_digest_is_of_names_and_values() {
        let digest = |name: &str, bytes: &[&[u8]]| {
            let mut column = ColumnProfiler::new(name, "t", Content::Other, false);
            for some in bytes {
                column.absorb_opaque(1, 0, some);
            }
            finish(2, vec![column]).digest
        };
        assert_eq!(digest("a", &[b"xy"]), digest("a", &[b"x", b"y"]));
        assert_ne!(digest("a", &[b"xy"]), digest("b", &[b"xy"]));
        assert_ne!(digest("a", &[b"xy"]), digest("a", &[b"xz"]));
    }
}
