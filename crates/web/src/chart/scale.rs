//! Scales and ticks: from values to coordinates, at round numbers and on calendar days.

use greenlight_domain::time::Micros;

/// A straight line from values to coordinates.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scale {
    low: f64,
    high: f64,
    start: f64,
    end: f64,
}

impl Scale {
    /// Maps `low..high` to `start..end`. A scale without extent maps everything to the middle.
    pub fn new((low, high): (f64, f64), (start, end): (f64, f64)) -> Self {
        Self { low, high, start, end }
    }

    /// The coordinate of `value`, held within the ends.
    pub fn at(&self, value: f64) -> f64 {
        let extent = self.high - self.low;
        if extent <= 0.0 || !extent.is_finite() || value.is_nan() {
            return f64::midpoint(self.start, self.end);
        }
        let share = ((value - self.low) / extent).clamp(0.0, 1.0);
        self.start + share * (self.end - self.start)
    }
}

/// Smallest and largest finite value, widened to hold zero; 0 to 1 when there is nothing to hold.
pub fn extent(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (low, high) =
        values.filter(|v| v.is_finite()).fold((0.0_f64, 0.0_f64), |(low, high), v| (low.min(v), high.max(v)));
    if high - low > 0.0 { (low, high) } else { (0.0, 1.0) }
}

/// Smallest and largest finite value, without zero unless it is one of them; values that are all the same get some room
/// on both sides. None without a finite value.
pub fn span(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    let mut finite = values.filter(|v| v.is_finite());
    let first = finite.next()?;
    let (low, high) = finite.fold((first, first), |(low, high), v| (low.min(v), high.max(v)));
    if high - low > 0.0 {
        return Some((low, high));
    }
    let room = if low == 0.0 { 1.0 } else { low.abs() * 0.1 };
    Some((low - room, high + room))
}

/// Round numbers (1, 2 or 5 times a power of ten) that enclose `low..high`, about `about` of them.
///
/// Worked example: 0 to 43 with about 5 ticks gives 0, 10, 20, 30, 40, 50.
pub fn ticks((low, high): (f64, f64), about: usize) -> Vec<f64> {
    let rough = (high - low) / about.max(1) as f64;
    if !rough.is_finite() || rough <= 0.0 {
        return vec![0.0];
    }
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|m| m * power).find(|s| *s >= rough).unwrap_or(rough);
    let first = (low / step).floor() as i64;
    let last = (high / step).ceil() as i64;
    (first..=last.min(first.saturating_add(50))).map(|i| i as f64 * step).collect()
}

/// A label under a point in time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DateTick {
    /// Where.
    pub at: Micros,
    /// `2009-05-04`, or `2009-05` at the start of a month.
    pub label: String,
}

/// Days or months between `from` and `until`, at most `most` of them.
pub fn date_ticks(from: Micros, until: Micros, most: usize) -> Vec<DateTick> {
    let days = i64::from(until.day()) - i64::from(from.day());
    if days <= 0 {
        return vec![DateTick { at: from, label: from.date().to_string() }];
    }
    if days <= 45 {
        // Labels with a day are half as wide again as those of months.
        let step =
            [1, 2, 7, 14, 28].into_iter().find(|s| days / s < (most as i64 * 2 / 3).max(2)).unwrap_or(28);
        return (0..=days / step)
            .map(|i| from.plus_days(i * step))
            .map(|at| DateTick { at, label: at.date().to_string() })
            .collect();
    }
    month_ticks(from, until, most.max(1))
}

fn month_ticks(from: Micros, until: Micros, most: usize) -> Vec<DateTick> {
    let number = |at: Micros| i32::from(at.date().year()) * 12 + i32::from(at.date().month()) - 1;
    let (first, last) = (number(from), number(until));
    let step = [1, 2, 3, 6, 12, 24, 60, 120]
        .into_iter()
        .find(|s| usize::try_from((last - first) / s).is_ok_and(|n| n < most))
        .unwrap_or(240);
    (first..=last)
        .filter(|month| month.rem_euclid(step) == 0)
        .filter_map(|month| {
            let (year, month) = (month.div_euclid(12), month.rem_euclid(12) + 1);
            let at: Micros = format!("{year:04}-{month:02}-01").parse().ok()?;
            (from <= at && at <= until).then(|| DateTick { at, label: format!("{year:04}-{month:02}") })
        })
        .collect()
}
