//! An axis for values that may be numbers or words: parameters are texts, and most of them are numbers.

use super::scale::{Scale, span, ticks};
use super::shortened;
use crate::components::number::significant;

/// Most words of one axis; what comes after shares the last place.
const MAX_WORDS: usize = 12;

/// An axis and its values.
#[derive(Debug, Clone, PartialEq)]
pub struct Axis {
    marks: Marks,
}

#[derive(Debug, Clone, PartialEq)]
enum Marks {
    Numbers { low: f64, high: f64, ticks: Vec<f64> },
    Words(Vec<String>),
}

/// The text as a number, if it is a finite one.
fn number(text: &str) -> Option<f64> {
    text.trim().parse().ok().filter(|number: &f64| number.is_finite())
}

impl Axis {
    /// An axis for these values: of numbers when every one of them is one, with about so many ticks; else of words, in
    /// their order.
    pub fn of<'a>(values: impl Iterator<Item = &'a str> + Clone, about: usize) -> Self {
        let numbers: Vec<f64> = values.clone().filter_map(number).collect();
        let is_number = |text: &str| text.trim().parse::<f64>().is_ok();
        if let (true, Some(extent)) = (values.clone().all(is_number), span(numbers.into_iter())) {
            let ticks = ticks(extent, about);
            let low = ticks.first().copied().unwrap_or(extent.0);
            let high = ticks.last().copied().unwrap_or(extent.1);
            return Self { marks: Marks::Numbers { low, high, ticks } };
        }
        let mut words: Vec<String> = values.map(str::to_owned).collect();
        words.sort_unstable();
        words.dedup();
        if words.len() > MAX_WORDS {
            words.truncate(MAX_WORDS - 1);
            words.push("others".to_owned());
        }
        Self { marks: Marks::Words(words) }
    }

    /// Where a value stands between `start` and `end`; nowhere when it is no number on an axis of numbers.
    pub fn at(&self, value: &str, (start, end): (f64, f64)) -> Option<f64> {
        match &self.marks {
            Marks::Numbers { low, high, .. } => {
                number(value).map(|number| Scale::new((*low, *high), (start, end)).at(number))
            }
            Marks::Words(words) => {
                let last = words.len().checked_sub(1)?;
                let place = words.iter().position(|word| word == value).unwrap_or(last);
                Some(Self::place(place, words.len(), (start, end)))
            }
        }
    }

    fn place(place: usize, of: usize, (start, end): (f64, f64)) -> f64 {
        start + (end - start) * (place as f64 + 0.5) / of as f64
    }

    /// Where labels stand, and what they say in at most so many letters.
    pub fn labels(&self, (start, end): (f64, f64), letters: usize) -> Vec<(f64, String)> {
        match &self.marks {
            Marks::Numbers { low, high, ticks } => {
                let scale = Scale::new((*low, *high), (start, end));
                ticks.iter().map(|tick| (scale.at(*tick), shortened(&significant(*tick), letters))).collect()
            }
            Marks::Words(words) => (0..)
                .zip(words)
                .map(|(place, word)| {
                    (Self::place(place, words.len(), (start, end)), shortened(word, letters))
                })
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_placed_by_value_and_words_by_order() {
        let numbers = Axis::of(["0", "5", "10"].into_iter(), 5);
        assert_eq!(numbers.at("5", (0.0, 100.0)), Some(50.0));
        assert_eq!(numbers.at("trees", (0.0, 100.0)), None);
        let words = Axis::of(["trees", "linear", "7"].into_iter(), 5);
        let labels: Vec<String> = words.labels((0.0, 90.0), 20).into_iter().map(|label| label.1).collect();
        assert_eq!(labels, ["7", "linear", "trees"]);
        assert_eq!(words.at("linear", (0.0, 90.0)), Some(45.0));
    }

    #[test]
    fn what_is_no_finite_number_stands_nowhere() {
        let axis = Axis::of(["1", "NaN", "inf"].into_iter(), 5);
        assert_eq!(axis.at("NaN", (0.0, 1.0)), None);
        assert_eq!(axis.at("inf", (0.0, 1.0)), None);
        assert!(axis.at("1", (0.0, 1.0)).is_some());
        let none = Axis::of(std::iter::empty(), 5);
        assert_eq!((none.at("1", (0.0, 1.0)), none.labels((0.0, 1.0), 5)), (None, vec![]));
        let words = Axis::of(["NaN"].into_iter(), 5);
        assert_eq!(words.at("NaN", (0.0, 1.0)), Some(0.5), "a word like any other");
    }

    #[test]
    fn many_words_share_the_last_place() {
        let words: Vec<String> = (0..40).map(|n| format!("w{n:02}")).collect();
        let axis = Axis::of(words.iter().map(String::as_str), 5);
        assert_eq!(axis.labels((0.0, 1.0), 9).len(), MAX_WORDS);
        assert_eq!(axis.at("w39", (0.0, 1.0)), axis.at("w20", (0.0, 1.0)));
    }

    #[test]
    fn one_number_alone_stands_within_its_axis() {
        let axis = Axis::of(["0.7"].into_iter(), 4);
        let place = axis.at("0.7", (0.0, 100.0)).unwrap();
        assert!(place > 0.0 && place < 100.0, "{place}");
    }
}
