//! A channel: one input, read in one way.
//!
//! Owns what a library does to a value before it compares it (rounding, what counts as missing) and the sorted
//! thresholds that the value is compared with. It refuses to know trees: to a channel a value is a rank among its
//! thresholds.

/// How a value is read before it is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Reading {
    /// As it is.
    Double,
    /// Rounded to the nearest single-precision number, as XGBoost and most ONNX graphs hold it.
    Single,
    /// Truncated to a category; below zero or out of range it is in no set (LightGBM, `Tree::CategoricalDecision`).
    Category,
    /// Rounded to single precision, then truncated; what is negative even before is in no set (XGBoost,
    /// `common::InvalidCat`).
    SingleCategory,
}

/// Which values go where missing values go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Missing {
    /// Not-a-number.
    Nan,
    /// Not-a-number, and what lies within 1e-35 of zero (LightGBM, `zero_as_missing`).
    ZeroOrNan,
    /// None: not-a-number is read as zero (LightGBM, when training saw no missing value).
    Never,
}

/// `kZeroThreshold` of LightGBM, which is a single-precision literal.
const ZERO_THRESHOLD: f64 = 1e-35_f32 as f64;

/// In place of a rank, for a missing value.
pub(super) const MISSING: u32 = u32::MAX;
/// A category that is in no set.
const NO_CATEGORY: f64 = -1.0;
/// Categories from here on are in no set: no reader accepts a set that is this large.
const CATEGORY_LIMIT: f64 = 16_777_216.0;
/// Thresholds that are compared with a value at once.
const FAN: usize = 16;

#[derive(Debug)]
pub(super) struct Channel {
    input: u32,
    reading: Reading,
    missing: Missing,
    /// A search tree without pointers. The last level is the thresholds, ascending and distinct, then infinities, of
    /// which there is at least one, up to a multiple of [`FAN`]. A level before holds the last number of each [`FAN`]
    /// of the next. Levels before the last serve to search only.
    levels: Vec<Vec<[f64; FAN]>>,
    distinct: usize,
}

impl Channel {
    pub(super) fn new(input: u32, reading: Reading, missing: Missing) -> Self {
        Self { input, reading, missing, levels: Vec::new(), distinct: 0 }
    }

    /// Takes the thresholds that values of this channel are compared with.
    pub(super) fn set_thresholds(&mut self, mut thresholds: Vec<f64>) {
        thresholds.sort_unstable_by(f64::total_cmp);
        // -0 and 0 compare as equal, so they are one threshold.
        thresholds.dedup_by(|left, right| left == right);
        self.distinct = thresholds.len();
        let mut level = thresholds;
        level.push(f64::INFINITY);
        while self.distinct > 0 {
            level.resize(level.len().next_multiple_of(FAN), f64::INFINITY);
            let (chunks, _) = level.as_chunks::<FAN>();
            let above: Vec<f64> = chunks.iter().map(|chunk| chunk[FAN - 1]).collect();
            self.levels.insert(0, chunks.to_vec());
            if above.len() == 1 {
                break;
            }
            level = above;
        }
    }

    pub(super) fn input(&self) -> usize {
        self.input as usize
    }

    pub(super) fn is_ranked(&self) -> bool {
        self.distinct > 0
    }

    /// The place of a threshold among the sorted ones.
    pub(super) fn place(&self, threshold: f64) -> usize {
        self.rank(threshold)
    }

    pub(super) fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.levels.iter().map(|level| size_of_val(level.as_slice())).sum::<usize>()
    }

    /// The value as it is compared; not-a-number if it goes where missing values go.
    pub(super) fn prepare(&self, value: f64) -> f64 {
        let value = match self.reading {
            Reading::Double => value,
            Reading::Single => f64::from(value as f32),
            Reading::Category => category(value),
            Reading::SingleCategory => single_category(value),
        };
        match self.missing {
            Missing::ZeroOrNan if value.abs() <= ZERO_THRESHOLD => f64::NAN,
            Missing::Never if value.is_nan() => 0.0,
            Missing::Nan | Missing::ZeroOrNan | Missing::Never => value,
        }
    }

    /// Prepares a block of values in place.
    pub(super) fn prepare_all(&self, values: &mut [f64]) {
        if (self.reading, self.missing) != (Reading::Double, Missing::Nan) {
            for value in values {
                *value = self.prepare(*value);
            }
        }
    }

    /// For each prepared value the number of thresholds below it, or [`MISSING`].
    pub(super) fn rank_all(&self, values: &[f64], ranks: &mut [u32]) {
        for (value, rank) in values.iter().zip(ranks) {
            *rank = if value.is_nan() { MISSING } else { self.rank(*value) as u32 };
        }
    }

    /// The number of thresholds below a value. Every comparison of a level is made, without a branch on the answer.
    fn rank(&self, value: f64) -> usize {
        let mut place = 0;
        for level in &self.levels {
            let Some(chunk) = level.get(place) else { break };
            // Wrapping, because a check for overflow would keep the compiler from comparing two at once.
            let below = chunk
                .iter()
                .fold(0_u64, |below, threshold| below.wrapping_add(u64::from(*threshold < value)));
            place = place.wrapping_mul(FAN).wrapping_add(below as usize);
        }
        place
    }
}

fn category(value: f64) -> f64 {
    let whole = value.trunc();
    if value.is_nan() || (0.0..CATEGORY_LIMIT).contains(&whole) { whole } else { NO_CATEGORY }
}

fn single_category(value: f64) -> f64 {
    let value = f64::from(value as f32);
    if value < 0.0 { NO_CATEGORY } else { category(value) }
}
