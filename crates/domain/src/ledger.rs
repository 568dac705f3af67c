//! What was earned: daily sufficient statistics, postings, and the summary that pages and verdicts read.

use greenlight_stats::Interval;
use greenlight_stats::confidence_sequence::AsymptoticSequence;
use greenlight_stats::incremental;
use greenlight_stats::moments::Moments;
use greenlight_stats::two_sample;
use serde::{Deserialize, Serialize};

use crate::DomainError;
use crate::business_case::BusinessCaseSpec;
use crate::evidence::Grade;
use crate::money::Currency;
use crate::prediction::Variant;
use crate::time::Micros;

/// The statistics of one endpoint, release, variant and day; they add up over days.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DayStatistics {
    /// Days since the epoch of the prediction.
    pub day: i32,
    /// Matured units.
    pub units: i64,
    /// Of those, units with an outcome that was 1.
    pub positives: i64,
    /// Money as the value model counts it, minor units.
    pub gross_minor: i64,
    /// Of those units, how many were randomised between champion and holdout.
    pub randomised: i64,
    /// Sum of the earned contributions ([`incremental::earned`]), minor units, for intervals.
    pub earned_sum: f64,
    /// Sum of their squares.
    pub earned_sum_squares: f64,
    /// Predictions whose model failed, so that the holdout rule answered.
    pub errors: i64,
    /// The same sum in millionths of a minor unit, for postings: whole numbers add up to the same in any order.
    #[serde(default)]
    pub earned_micros: i64,
    /// Sum of the squared money of these units, minor units.
    #[serde(default)]
    pub value_sum_squares: f64,
}

/// Millionths of a minor unit in one.
const MICROS: i64 = 1_000_000;

/// A contribution in millionths of a minor unit. A weight is a fraction, so a contribution has no last digit of its own;
/// it gets one here, once, and is a whole number from then on.
pub fn earned_micros(earned_minor: f64) -> i64 {
    (earned_minor * MICROS as f64).round() as i64
}

/// Millionths of a minor unit as minor units, halves to the even one.
///
/// Worked example: 2.5 and 3.5 minor units become 2 and 4, and -2.5 becomes -2.
pub fn minor_of_micros(micros: i64) -> i64 {
    let (whole, rest) = (micros.div_euclid(MICROS), micros.rem_euclid(MICROS));
    let up = rest > MICROS / 2 || (rest == MICROS / 2 && whole % 2 != 0);
    whole + i64::from(up)
}

impl DayStatistics {
    /// Adds the statistics of another settle run of the same day.
    pub fn add(&mut self, other: &Self) {
        self.units += other.units;
        self.positives += other.positives;
        self.gross_minor += other.gross_minor;
        self.randomised += other.randomised;
        self.earned_sum += other.earned_sum;
        self.earned_sum_squares += other.earned_sum_squares;
        self.errors += other.errors;
        self.earned_micros = self.earned_micros.saturating_add(other.earned_micros);
        self.value_sum_squares += other.value_sum_squares;
    }
}

/// What one settled unit contributes to the money earned against the holdout, in minor units.
///
/// Horvitz–Thompson weighting by the recorded propensity. Where champion and holdout would have decided alike the
/// model changed nothing, so the contribution is exactly zero whatever happened; leaving out that noise is trigger
/// analysis (Deng and Hu, "Diluted Treatment Effect Estimation for Trigger Analysis in Online Controlled
/// Experiments", WSDM 2015). It needs the champion's decision to be logged for holdout units too, which serving does.
pub fn earned_minor(
    variant: Variant,
    champion_propensity: f64,
    decisions_agree: bool,
    value_minor: i64,
) -> Result<f64, DomainError> {
    if decisions_agree {
        return Ok(0.0);
    }
    incremental::earned(variant == Variant::Champion, champion_propensity, value_minor as f64)
        .map_err(|e| DomainError::invalid("propensity", e.to_string()))
}

/// What kind of money a posting is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PostingKind {
    /// As the value model counts it, by variant.
    Gross,
    /// Against the holdout, by randomised assignment.
    Incremental,
    /// What it cost.
    Cost,
}

impl PostingKind {
    /// The word in columns.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gross => "gross",
            Self::Incremental => "incremental",
            Self::Cost => "cost",
        }
    }

    /// Reads the word of [`PostingKind::as_str`].
    pub fn parse(text: &str) -> Result<Self, DomainError> {
        [Self::Gross, Self::Incremental, Self::Cost]
            .into_iter()
            .find(|k| k.as_str() == text)
            .ok_or_else(|| DomainError::invalid("kind", format!("'{text}' is not a kind of posting")))
    }
}

/// An immutable line of the ledger.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Posting {
    /// Which endpoint.
    pub endpoint: String,
    /// Which release, if any was live.
    pub release: Option<String>,
    /// Which variant, for gross money.
    pub variant: Option<Variant>,
    /// Day of the predictions, since the epoch.
    pub day: i32,
    /// Gross, incremental or cost.
    pub kind: PostingKind,
    /// Minor units; costs are negative.
    pub amount_minor: i64,
    /// How it is known.
    pub grade: Grade,
    /// The settle run that wrote it.
    pub settle_run: i64,
}

/// A figure with what must travel with it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// Minor units.
    pub minor: f64,
    /// Lower end of its interval, if it is an estimate.
    pub low_minor: Option<f64>,
    /// Upper end.
    pub high_minor: Option<f64>,
    /// How it is known.
    pub grade: Grade,
    /// Which money.
    pub currency: Currency,
}

impl Figure {
    /// A figure that was counted, not estimated.
    pub fn counted(minor: i64, grade: Grade, currency: Currency) -> Self {
        Self { minor: minor as f64, low_minor: None, high_minor: None, grade, currency }
    }

    /// A figure with its interval.
    pub fn estimated(interval: Interval, grade: Grade, currency: Currency) -> Self {
        Self {
            minor: interval.estimate,
            low_minor: Some(interval.low),
            high_minor: Some(interval.high),
            grade,
            currency,
        }
    }
}

/// The interval of the total that a release earned, valid at every look.
///
/// `moments` gathers the earned contributions of all randomised units since the rollout began.
pub fn earned_total(
    moments: &Moments,
    alpha: f64,
    tuned_for_units: f64,
) -> Result<Option<Interval>, DomainError> {
    let sequence = AsymptoticSequence::tuned_for(tuned_for_units, alpha)
        .map_err(|e| DomainError::invalid("rollout", e.to_string()))?;
    Ok(sequence.sum(moments))
}

/// Earned money at today's pace.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct RunRate {
    /// A year's worth (ARR).
    pub annual: Figure,
    /// A month's worth (MRR), a twelfth of it.
    pub monthly: Figure,
    /// Matured days that it rests on: whole weeks, because weekdays differ.
    pub days: u32,
    /// The first of them.
    pub from: Micros,
    /// Midnight after the last.
    pub until: Micros,
    /// Level of the interval, for one look.
    pub level: f64,
}

/// Most weeks that a run rate looks back: the pace of now, not of the year.
const RUN_RATE_WEEKS: i32 = 4;
/// Days of a year.
const YEAR: f64 = 365.0;

/// The run rate of an endpoint from its daily statistics, in order of day and several for one day if need be.
///
/// It takes up to four whole weeks before `settled_until`. With `n` arrivals as a Poisson process and contributions
/// `x`, the sum of a period has the variance `n E[x^2]` (compound Poisson; Feller, vol. 1, XII.2), so its normal
/// interval is `sum -+ z sqrt(sum of x^2)`: arrivals that vary are part of the uncertainty of a pace. Scaled to 365
/// days. Absent before a whole week and 100 randomised units have matured.
///
/// Worked example: 28 days with 100 units a day that contribute 200 minor units each sum to 560,000, so a year is worth
/// 7,300,000 -+ 1.96 * sqrt(2,800) * 200 * 365 / 28 = 270,395 at the level 0.95.
pub fn run_rate(
    days: &[DayStatistics],
    settled_until: Micros,
    alpha: f64,
    currency: Currency,
) -> Option<RunRate> {
    let first = days.iter().filter(|day| day.randomised > 0).map(|day| day.day).min()?;
    let until = settled_until.day();
    let weeks = ((until - first) / 7).min(RUN_RATE_WEEKS);
    if weeks < 1 {
        return None;
    }
    let from = until - weeks * 7;
    let mut sums = Moments::default();
    for day in days.iter().filter(|day| (from..until).contains(&day.day)) {
        sums = sums.merge(Moments {
            n: day.randomised.max(0) as u64,
            sum: day.earned_sum,
            sum_squares: day.earned_sum_squares,
        });
    }
    if sums.n < 100 {
        return None;
    }
    // Where both arms always decided alike, nothing was earned, and that is certain.
    let half_width = two_sample::normal(sums.sum, sums.sum_squares, 1.0 - alpha)
        .map_or(0.0, |found| found.interval.high - found.interval.estimate);
    let scaled = |by: f64| Figure {
        minor: sums.sum * by,
        low_minor: Some((sums.sum - half_width) * by),
        high_minor: Some((sums.sum + half_width) * by),
        grade: Grade::A,
        currency,
    };
    let to_year = YEAR / f64::from(weeks * 7);
    Some(RunRate {
        annual: scaled(to_year),
        monthly: scaled(to_year / 12.0),
        days: weeks.unsigned_abs() * 7,
        from: Micros::from_day(from),
        until: Micros::from_day(until),
        level: 1.0 - alpha,
    })
}

/// Forecast beside actual at one day.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ForecastPoint {
    /// Midnight after the day.
    pub at: Micros,
    /// Forecast so far: low, expected, high, minor units, grade D.
    pub forecast_minor: [f64; 3],
    /// Earned so far, minor units, grade A; absent before the rollout began.
    pub earned_minor: Option<f64>,
    /// Lower end of its confidence sequence.
    pub earned_low_minor: Option<f64>,
    /// Upper end.
    pub earned_high_minor: Option<f64>,
}

/// Accumulates days (in order) into forecast and actual.
pub fn forecast_against_actual(
    case: &BusinessCaseSpec,
    days: &[DayStatistics],
    alpha: f64,
    tuned_for_units: f64,
) -> Result<Vec<ForecastPoint>, DomainError> {
    let mut so_far = Moments::default();
    let mut points = Vec::with_capacity(days.len());
    for day in days {
        let today = Moments {
            n: day.randomised.max(0) as u64,
            sum: day.earned_sum,
            sum_squares: day.earned_sum_squares,
        };
        so_far = so_far.merge(today);
        let interval = earned_total(&so_far, alpha, tuned_for_units)?;
        let at = Micros::from_day(day.day + 1);
        points.push(ForecastPoint {
            at,
            forecast_minor: case.until(at),
            earned_minor: (so_far.n > 0).then_some(so_far.sum),
            earned_low_minor: interval.map(|i| i.low),
            earned_high_minor: interval.map(|i| i.high),
        });
    }
    Ok(points)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_go_to_the_even_minor_unit() {
        for (micros, minor) in
            [(2_500_000, 2), (3_500_000, 4), (-2_500_000, -2), (-3_500_000, -4), (2_500_001, 3)]
        {
            assert_eq!(minor_of_micros(micros), minor, "{micros}");
        }
        assert_eq!((minor_of_micros(0), minor_of_micros(-400_000), minor_of_micros(-600_000)), (0, 0, -1));
        assert_eq!(earned_micros(1.0 / 3.0), 333_333);
    }

    fn randomised_day(day: i32, units: i64, each: f64) -> DayStatistics {
        let n = units as f64;
        DayStatistics {
            day,
            randomised: units,
            earned_sum: n * each,
            earned_sum_squares: n * each * each,
            ..DayStatistics::default()
        }
    }

    #[test]
    fn the_worked_example_of_the_run_rate() {
        let days: Vec<_> = (0..28).map(|day| randomised_day(day, 100, 200.0)).collect();
        let found = run_rate(&days, Micros::from_day(28), 0.05, Currency::EUR).unwrap();
        assert!((found.annual.minor - 7_300_000.0).abs() < 1e-6);
        assert!((found.annual.high_minor.unwrap() - 7_300_000.0 - 270_395.0).abs() < 10.0, "{found:?}");
        assert!((found.monthly.minor * 12.0 - found.annual.minor).abs() < 1e-6);
        assert_eq!((found.days, found.annual.grade), (28, Grade::A));
    }

    #[test]
    fn a_run_rate_is_of_whole_weeks_and_of_now() {
        // A pace that doubled 28 days ago: only the newer one counts, and the young tenth day of a week does not.
        let mut days: Vec<_> = (0..30).map(|day| randomised_day(day, 100, 100.0)).collect();
        days.extend((30..58).map(|day| randomised_day(day, 100, 200.0)));
        let settled = Micros(Micros::from_day(58).0 + 3_600_000_000);
        let found = run_rate(&days, settled, 0.05, Currency::EUR).unwrap();
        assert!((found.annual.minor - 100.0 * 200.0 * 365.0).abs() < 1e-6);
        assert_eq!(found.from, Micros::from_day(30));
        let young = run_rate(&days[..10], Micros::from_day(10), 0.05, Currency::EUR).unwrap();
        assert_eq!((young.days, young.from), (7, Micros::from_day(3)));
        assert_eq!(run_rate(&days[..6], Micros::from_day(6), 0.05, Currency::EUR), None);
        assert_eq!(run_rate(&[], Micros::from_day(60), 0.05, Currency::EUR), None);
        let few = [randomised_day(0, 99, 1.0)];
        assert_eq!(run_rate(&few, Micros::from_day(7), 0.05, Currency::EUR), None);
    }

    #[test]
    fn where_both_would_decide_alike_nothing_was_earned() {
        assert_eq!(earned_minor(Variant::Champion, 0.5, true, 12_345), Ok(0.0));
        assert_eq!(earned_minor(Variant::Champion, 0.5, false, 100), Ok(100.0));
        // A holdout unit that lost €5 stands for p / (1 - p) = 9 treated units that were spared the loss.
        let spared = earned_minor(Variant::Holdout, 0.9, false, -500).unwrap();
        assert!((spared - 4_500.0).abs() < 1e-9);
        assert!(earned_minor(Variant::Champion, 1.0, false, 100).is_err(), "no holdout, no figure");
    }
}
