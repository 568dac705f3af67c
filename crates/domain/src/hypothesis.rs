//! Hypotheses and findings: what we believe, and what was found when somebody looked.
//!
//! Owns the rules of both and how their words are found again. A finding is never edited; who looks again reopens the
//! hypothesis with a reason, and the finding stays.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::DomainError;

/// The tag by which a run joins a hypothesis.
pub const RUN_TAG: &str = "greenlight.hypothesis";
/// Longest text of a field, characters.
const MAX_TEXT: usize = 4_000;
/// Longest statement.
const MAX_STATEMENT: usize = 500;
/// Words of a query that count.
const MAX_WORDS: usize = 20;
/// Longest word that is kept.
const MAX_WORD: usize = 40;

/// What somebody believes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HypothesisSpec {
    /// What is believed, in one sentence.
    pub statement: String,
    /// Why.
    pub why: String,
    /// What would refute it.
    pub refuted_by: String,
    /// The initiative that it is for; empty for none.
    #[serde(default)]
    pub initiative: String,
    /// Who pursues it; whoever opens it when empty.
    #[serde(default)]
    pub owner: String,
}

/// What a finding says of its hypothesis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It held.
    Supports,
    /// It did not.
    Refutes,
    /// The data do not say.
    Inconclusive,
}

/// How large it was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Effect {
    /// Of what, such as `percentage points of conversion`.
    pub unit: String,
    /// The estimate.
    pub estimate: f64,
    /// Lower end of its interval.
    pub low: f64,
    /// Upper end of its interval.
    pub high: f64,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Finding {
    /// What it says of the hypothesis.
    pub verdict: Verdict,
    /// How large the effect was; may be missing when nothing could be measured.
    #[serde(default)]
    pub effect: Option<Effect>,
    /// What was learned.
    pub learned: String,
    /// What to do next.
    #[serde(default)]
    pub next: String,
}

impl Verdict {
    /// All verdicts.
    pub const ALL: [Self; 3] = [Self::Supports, Self::Refutes, Self::Inconclusive];

    /// The word in addresses and messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Supports => "supports",
            Self::Refutes => "refutes",
            Self::Inconclusive => "inconclusive",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Verdict {
    type Err = DomainError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|verdict| verdict.as_str() == text).ok_or_else(|| {
            DomainError::invalid("verdict", format!("'{text}' is none of supports, refutes, inconclusive"))
        })
    }
}

fn check(field: &str, text: &str, needed: bool, most: usize) -> Result<(), DomainError> {
    if needed && text.trim().is_empty() {
        return Err(DomainError::invalid(field, "is empty"));
    }
    if text.chars().count() > most {
        return Err(DomainError::invalid(field, format!("is longer than {most} characters")));
    }
    Ok(())
}

impl HypothesisSpec {
    /// Checks that it can be tested: a statement, a reason and what would refute it.
    pub fn validate(&self) -> Result<(), DomainError> {
        check("statement", &self.statement, true, MAX_STATEMENT)?;
        check("why", &self.why, true, MAX_TEXT)?;
        check("refuted_by", &self.refuted_by, true, MAX_TEXT)?;
        check("initiative", &self.initiative, false, 200)?;
        check("owner", &self.owner, false, 200)
    }
}

impl Finding {
    /// Checks the words and that the interval holds its estimate. Only what is inconclusive may be without an effect.
    pub fn validate(&self) -> Result<(), DomainError> {
        check("learned", &self.learned, true, MAX_TEXT)?;
        check("next", &self.next, false, MAX_TEXT)?;
        match &self.effect {
            None if self.verdict == Verdict::Inconclusive => Ok(()),
            None => Err(DomainError::invalid("effect", "a verdict needs the effect with its interval")),
            Some(effect) => {
                check("effect.unit", &effect.unit, true, 200)?;
                let ordered = effect.low <= effect.estimate && effect.estimate <= effect.high;
                if ordered && effect.low.is_finite() && effect.high.is_finite() {
                    return Ok(());
                }
                Err(DomainError::invalid("effect", "needs low <= estimate <= high, all finite"))
            }
        }
    }
}

/// `H-12` for number 12.
pub fn id_of(number: i64) -> String {
    format!("H-{number}")
}

/// The number of `H-12`, in any case.
pub fn number_of(id: &str) -> Result<i64, DomainError> {
    let digits = id.strip_prefix("H-").or_else(|| id.strip_prefix("h-"));
    digits
        .and_then(|digits| digits.parse().ok())
        .filter(|number| *number > 0)
        .ok_or_else(|| DomainError::invalid("hypothesis", format!("'{id}' is not an id such as H-12")))
}

/// Words that say nothing.
const STOP: [&str; 24] = [
    "a", "an", "and", "are", "as", "at", "be", "by", "for", "from", "has", "in", "is", "it", "not", "of",
    "on", "or", "that", "the", "to", "was", "we", "with",
];

/// The words of a text as they are indexed: lower case, without a plural (the S-stemmer of Harman 1991, "How effective
/// is suffixing?"), without words that say nothing.
///
/// Worked example: `The Queries, of Customers` gives `query`, `customer`.
pub fn words(text: &str) -> Vec<String> {
    text.split(|c: char| !c.is_alphanumeric())
        .map(str::to_lowercase)
        .filter(|word| !word.is_empty() && word.chars().count() <= MAX_WORD && !STOP.contains(&word.as_str()))
        .map(|word| singular(&word))
        .collect()
}

fn singular(word: &str) -> String {
    let ends = |end: &str| word.ends_with(end);
    if word.chars().count() <= 3 {
        return word.to_owned();
    }
    if ends("ies") && !ends("eies") && !ends("aies") {
        return format!("{}y", &word[..word.len() - 3]);
    }
    if ends("es") && !ends("aes") && !ends("ees") && !ends("oes") {
        return word[..word.len() - 1].to_owned();
    }
    if ends("s") && !ends("us") && !ends("ss") {
        return word[..word.len() - 1].to_owned();
    }
    word.to_owned()
}

/// How often each word occurs.
pub fn counted(words: Vec<String>) -> BTreeMap<String, i64> {
    let mut counts = BTreeMap::new();
    for word in words {
        *counts.entry(word).or_default() += 1;
    }
    counts
}

/// The words of a query, each once, at most 20.
pub fn query_words(query: &str) -> Vec<String> {
    let mut seen = Vec::new();
    for word in words(query) {
        if seen.len() < MAX_WORDS && !seen.contains(&word) {
            seen.push(word);
        }
    }
    seen
}

/// What a word adds to the rank of a text: BM25 with `k1` 1.2 and `b` 0.75 (Robertson and Zaragoza 2009, "The
/// Probabilistic Relevance Framework", equation 3.15), its inverse document frequency kept above zero by adding one
/// inside the logarithm.
///
/// `count` is how often the word occurs in the text of `length` words, `with` how many of `texts` texts hold it.
///
/// Worked example: a word that occurs twice in a text of mean length, in 1 of 3 texts: `ln(1 + 2.5 / 1.5) * 2 * 2.2 /
/// (2 + 1.2)` = 0.980829 * 1.375 = 1.34864.
pub fn bm25(count: f64, length: f64, mean_length: f64, with: f64, texts: f64) -> f64 {
    const K1: f64 = 1.2;
    const B: f64 = 0.75;
    let rarity = (1.0 + (texts - with + 0.5) / (with + 0.5)).ln();
    let norm = K1 * (1.0 - B + B * length / mean_length.max(1.0));
    rarity * count * (K1 + 1.0) / (count + norm)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_whatever_their_form() {
        assert_eq!(words("The Queries, of Customers"), ["query", "customer"]);
        assert_eq!(
            words("Discounts: a/B test's bus glasses"),
            ["discount", "b", "test", "s", "bus", "glasse"]
        );
        assert_eq!(words(""), Vec::<String>::new());
        assert_eq!(query_words("call call calls"), ["call"]);
        assert_eq!(counted(words("call the calls"))["call"], 2);
    }

    #[test]
    fn the_rank_is_that_of_the_worked_example() {
        assert!((bm25(2.0, 10.0, 10.0, 1.0, 3.0) - 1.348_64).abs() < 1e-4);
        assert!(bm25(1.0, 10.0, 10.0, 1.0, 100.0) > bm25(1.0, 10.0, 10.0, 90.0, 100.0));
        assert!(bm25(1.0, 5.0, 10.0, 1.0, 3.0) > bm25(1.0, 50.0, 10.0, 1.0, 3.0));
        assert!(bm25(1.0, 1.0, 0.0, 3.0, 3.0) > 0.0);
    }

    #[test]
    fn a_finding_holds_together() {
        let effect = |low, estimate, high| Some(Effect { unit: "points".into(), estimate, low, high });
        let finding = |verdict, effect| Finding { verdict, effect, learned: "x".into(), next: String::new() };
        assert!(finding(Verdict::Refutes, effect(-1.0, 0.0, 1.0)).validate().is_ok());
        assert!(finding(Verdict::Inconclusive, None).validate().is_ok());
        for bad in [
            finding(Verdict::Supports, None),
            finding(Verdict::Supports, effect(1.0, 0.0, 2.0)),
            finding(Verdict::Supports, effect(0.0, 0.0, f64::INFINITY)),
            finding(Verdict::Supports, effect(f64::NAN, 0.0, 1.0)),
            Finding { learned: " ".into(), ..finding(Verdict::Inconclusive, None) },
        ] {
            assert!(bad.validate().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn ids_are_read_as_they_are_said() {
        assert_eq!((number_of("H-12"), number_of("h-3"), id_of(7)), (Ok(12), Ok(3), "H-7".to_owned()));
        for bad in ["", "12", "H-", "H-0", "H--1", "X-1"] {
            assert!(number_of(bad).is_err(), "{bad}");
        }
        for verdict in Verdict::ALL {
            assert_eq!(verdict.to_string().parse(), Ok(verdict));
        }
    }
}
