//! A money figure with what must travel with it: interval, currency, evidence grade.
//!
//! The only way in which pages show money, so that no figure can lose its grade.

use greenlight_domain::evidence::Grade;
use greenlight_domain::ledger::Figure;
use greenlight_domain::money::Amount;
use greenlight_domain::money::Currency;
use maud::{Markup, html};

use super::Tone;
use super::number::{count, money, money_to_the_cent};

/// The letter with its meaning.
pub fn grade(grade: Grade) -> Markup {
    html! {
        abbr class={ "grade grade-" (grade) } title={ "Grade " (grade) ": " (grade.meaning()) } {
            span.unseen { "grade " } (grade)
        }
    }
}

/// Amount, interval and grade in one line, in whole units.
pub fn figure(figure: &Figure) -> Markup {
    html! {
        span.figure {
            span.amount-line {
                span.amount { (money(figure.minor, figure.currency)) } " " (grade(figure.grade))
            }
            @if let Some(interval) = interval(figure) { " " span.interval { (interval) } }
        }
    }
}

/// A figure that may not be known yet.
pub fn figure_or_none(known: Option<&Figure>, otherwise: &str) -> Markup {
    html! {
        @match known {
            Some(known) => (figure(known)),
            None => span.none { (otherwise) },
        }
    }
}

/// An amount to the cent with its grade: for what one unit is worth.
pub fn figure_to_the_cent(minor: f64, of: &Figure) -> Markup {
    html! {
        span.figure { span.amount-line {
            span.amount { (money_to_the_cent(minor, of.currency)) } " " (grade(of.grade))
        } }
    }
}

/// `€4,200 to €51,300`, when the figure is an estimate.
pub fn interval(figure: &Figure) -> Option<String> {
    let (low, high) = (figure.low_minor?, figure.high_minor?);
    Some(format!("{} to {}", money(low, figure.currency), money(high, figure.currency)))
}

/// A forecast: expected with low and high, grade D.
pub fn asserted(low: Amount, expected: Amount, high: Amount, currency: Currency) -> Figure {
    Figure {
        minor: expected.0 as f64,
        low_minor: Some(low.0 as f64),
        high_minor: Some(high.0 as f64),
        grade: Grade::D,
        currency,
    }
}

/// Adds figures of one currency end by end; `None` for none at all, or for two currencies.
///
/// The sum is known no better than its worst part, so it takes the worst grade. Adding ends is wider than needed
/// when the parts are independent, and never too narrow when all parts hold.
pub fn sum(figures: &[Figure]) -> Option<Figure> {
    let (first, rest) = figures.split_first()?;
    let mut total = *first;
    for figure in rest {
        if figure.currency != total.currency {
            return None;
        }
        total.minor += figure.minor;
        total.low_minor = total.low_minor.zip(figure.low_minor).map(|(a, b)| a + b);
        total.high_minor = total.high_minor.zip(figure.high_minor).map(|(a, b)| a + b);
        total.grade = total.grade.max(figure.grade);
    }
    Some(total)
}

/// What an incremental figure proves, in a sentence. `level` is that of its confidence sequence.
pub fn verdict(earned: Option<&Figure>, level: f64, randomised: u64) -> (Tone, String) {
    let Some((low, high)) = earned.and_then(|f| f.low_minor.zip(f.high_minor)) else {
        let sentence = "Nothing is earned yet: no unit has been randomised, matured and settled.";
        return (Tone::Plain, sentence.to_owned());
    };
    let basis = format!(
        "the {:.0} % confidence sequence over {} randomised units",
        level * 100.0,
        count(randomised.cast_signed())
    );
    if low > 0.0 {
        (Tone::Good, format!("It earns money: {basis} lies wholly above zero."))
    } else if high < 0.0 {
        (Tone::Bad, format!("It loses money: {basis} lies wholly below zero."))
    } else {
        (Tone::Waiting, format!("Not proven yet: {basis} still includes zero."))
    }
}
