//! Assignment of one unit: layer, overrides, targeting rules, then the split.
//!
//! Everything that can be known beforehand is: the hot path hashes a unit once or twice and compares a few numbers,
//! however many variants there are.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Arm, Split, WHOLE, place};
use crate::DomainError;
use crate::expression::{Cell, Expression, Kind, Scope};
use crate::frame::{Column, ColumnType, Field, Frame};

/// Most overrides of an endpoint.
const MAX_OVERRIDES: usize = 1_000;
/// Most targeting rules of an endpoint.
const MAX_RULES: usize = 20;

/// A unit that always gets the same arm, such as a tester's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Override {
    /// Which unit.
    pub unit: String,
    /// What it gets. While that arm gets no traffic, the unit is assigned like any other.
    pub arm: Arm,
}

/// Units for which only some arms come into question. The first rule that holds counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Its name, as it is logged.
    pub name: String,
    /// SQL over `features.<column>`; a unit is meant when it is true.
    pub when: String,
    /// What comes into question, in the proportions that these arms have among all units. A rule whose arms get no
    /// traffic at all gives the holdout.
    pub among: Vec<Arm>,
}

/// A part of all units that endpoints share without overlap: a unit outside this endpoint's part gets the holdout,
/// and no figure of this endpoint counts it as randomised.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LayerSpec {
    /// The name that endpoints share.
    pub name: String,
    /// Where this endpoint's part begins, in percent of all units.
    pub from_percent: u8,
    /// Where it ends, in percent of all units.
    pub until_percent: u8,
}

/// How an endpoint assigns, as its owner writes it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AssignmentSpec {
    /// Units of testers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub overrides: Vec<Override>,
    /// Targeting.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<Rule>,
    /// Mutual exclusion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layer: Option<LayerSpec>,
}

/// One arm that a unit could have got, with the probability of that.
#[derive(Debug, Clone, PartialEq)]
struct Candidate {
    arm: usize,
    probability: f64,
}

/// The arms that come into question for a unit.
#[derive(Debug, Clone)]
struct Candidates {
    arms: Vec<Candidate>,
    /// Probability of the champion.
    champion: f64,
    /// Probability of the holdout.
    holdout: f64,
    text: Arc<str>,
}

#[derive(Debug, Clone)]
struct Targeting {
    when: Expression,
    candidates: Candidates,
    /// Place of the second draw, for units whose first one is not among the candidates.
    salt: String,
}

/// Assigns the units of an endpoint under one version of its routes.
#[derive(Debug, Clone)]
pub struct Assigner {
    salt: String,
    arms: Vec<Arm>,
    /// The arm of each stretch of the split.
    stretches: Vec<usize>,
    split: Split,
    everyone: Candidates,
    rules: Vec<Targeting>,
    overrides: HashMap<Box<str>, Candidates>,
    layer: Option<(LayerSpec, Candidates)>,
}

/// What a unit got.
#[derive(Debug, Clone, Copy)]
pub struct Assigned<'a> {
    /// Which arm.
    pub arm: &'a Arm,
    /// Probability with which this unit got it.
    pub propensity: f64,
    /// Probability with which it would have got the champion.
    pub champion_propensity: f64,
    /// Probability with which it would have got the holdout.
    pub holdout_propensity: f64,
    /// The arms that came into question with their probabilities, such as `champion=0.8 holdout=0.2`, after the name
    /// of the rule if one held.
    pub candidates: &'a Arc<str>,
}

struct Features<'a>(&'a [Field]);

impl Scope for Features<'_> {
    fn resolve(&self, table: &str, column: &str) -> Option<(usize, Kind)> {
        let slot = self.0.iter().position(|f| table == "features" && f.name.as_ref() == column)?;
        let kind = match self.0[slot].column_type {
            ColumnType::Number => Kind::Number,
            ColumnType::Text => Kind::Text,
        };
        Some((slot, kind))
    }

    fn names(&self) -> Vec<String> {
        self.0.iter().map(|f| format!("features.{}", f.name)).collect()
    }
}

impl LayerSpec {
    /// Whether some units are in both parts.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.name == other.name
            && self.from_percent < other.until_percent
            && other.from_percent < self.until_percent
    }
}

impl AssignmentSpec {
    /// Checks it against the features of its endpoint.
    pub fn validate(&self, features: &[Field]) -> Result<(), DomainError> {
        let bound = |field: &str, count: usize, most: usize| {
            if count <= most { Ok(()) } else { Err(DomainError::invalid(field, format!("at most {most}"))) }
        };
        bound("assignment.overrides", self.overrides.len(), MAX_OVERRIDES)?;
        bound("assignment.rules", self.rules.len(), MAX_RULES)?;
        for rule in &self.rules {
            crate::endpoint::check_name("assignment.rules.name", &rule.name)?;
            if rule.among.is_empty() {
                return Err(DomainError::invalid("assignment.rules.among", "names no variant"));
            }
            if Expression::parse(&rule.when, &Features(features))?.kind() != Kind::Bool {
                return Err(DomainError::invalid("assignment.rules.when", "must be true or false"));
            }
        }
        match &self.layer {
            Some(layer) if layer.from_percent >= layer.until_percent || layer.until_percent > 100 => {
                Err(DomainError::invalid(
                    "assignment.layer",
                    "from_percent must lie below until_percent, within 0 to 100",
                ))
            }
            Some(layer) => crate::endpoint::check_name("assignment.layer.name", &layer.name),
            None => Ok(()),
        }
    }
}

impl Assigner {
    /// Compiles `spec` for an endpoint whose routes split traffic like that.
    pub fn new(
        endpoint: &str,
        spec: &AssignmentSpec,
        split: &Split,
        features: &[Field],
    ) -> Result<Self, DomainError> {
        let mut arms: Vec<Arm> = Vec::new();
        for span in split.spans() {
            if !arms.contains(&span.arm) {
                arms.push(span.arm.clone());
            }
        }
        if !arms.contains(&Arm::Holdout) {
            arms.push(Arm::Holdout);
        }
        let find = |arm: &Arm| arms.iter().position(|of| of == arm);
        let stretches = split.spans().iter().filter_map(|span| find(&span.arm)).collect();
        let holdout = [Arm::Holdout];
        let rules = spec.rules.iter().map(|rule| {
            Ok(Targeting {
                when: Expression::parse(&rule.when, &Features(features))?,
                candidates: Candidates::among(&arms, split, &rule.among, &rule.name),
                salt: format!("{endpoint}/{}", rule.name),
            })
        });
        let overrides = spec.overrides.iter().filter(|o| find(&o.arm).is_some()).map(|o| {
            let among = std::slice::from_ref(&o.arm);
            (Box::from(o.unit.as_str()), Candidates::among(&arms, split, among, "override"))
        });
        Ok(Self {
            salt: endpoint.to_owned(),
            stretches,
            everyone: Candidates::among(&arms, split, &arms, ""),
            rules: rules.collect::<Result<_, DomainError>>()?,
            overrides: overrides.collect(),
            layer: spec
                .layer
                .clone()
                .map(|layer| (layer, Candidates::among(&arms, split, &holdout, "outside"))),
            split: split.clone(),
            arms,
        })
    }

    /// Assigns the unit whose features stand in that row.
    pub fn assign(&self, unit: &str, features: &Frame, row: usize) -> Assigned<'_> {
        if let Some(only) = self.overrides.get(unit) {
            return self.draw(only, "", unit);
        }
        if let Some((layer, outside)) = &self.layer {
            let at = place(&layer.name, unit) * 100.0;
            if at < f64::from(layer.from_percent) || at >= f64::from(layer.until_percent) {
                return self.draw(outside, "", unit);
            }
        }
        for rule in &self.rules {
            let met = rule.when.evaluate(&|slot| match &features.columns()[slot] {
                Column::Number(values) => Cell::from_number(values[row]),
                Column::Text(values) => values[row].as_deref().map_or(Cell::Null, Cell::Text),
            });
            if met == Cell::Bool(true) {
                return self.draw(&rule.candidates, &rule.salt, unit);
            }
        }
        self.draw(&self.everyone, "", unit)
    }

    /// Draws among `candidates`: what the split gives when that is one of them, else a second draw among them, so
    /// that a unit moves only when its arm is out of the question.
    fn draw<'a>(&'a self, candidates: &'a Candidates, salt: &str, unit: &str) -> Assigned<'a> {
        let only = match candidates.arms.as_slice() {
            [only] => Some(only),
            all => {
                let first = self.stretches[self.split.span_at(place(&self.salt, unit))];
                all.iter().find(|candidate| candidate.arm == first)
            }
        };
        let drawn = only.unwrap_or_else(|| {
            let mut mark = place(salt, unit);
            let mut last = &candidates.arms[0];
            for candidate in &candidates.arms {
                last = candidate;
                mark -= candidate.probability;
                if mark < 0.0 {
                    break;
                }
            }
            last
        });
        Assigned {
            arm: &self.arms[drawn.arm],
            propensity: drawn.probability,
            champion_propensity: candidates.champion,
            holdout_propensity: candidates.holdout,
            candidates: &candidates.text,
        }
    }
}

impl Candidates {
    /// The arms of `among` that get traffic, in their proportions; the holdout when there are none.
    fn among(arms: &[Arm], split: &Split, among: &[Arm], name: &str) -> Self {
        let share = |arm: &Arm| split.share(arm);
        let mut total: u32 = 0;
        let mut chosen: Vec<(usize, u16)> = Vec::new();
        for (index, arm) in arms.iter().enumerate() {
            if among.contains(arm) && share(arm) > 0 {
                total += u32::from(share(arm));
                chosen.push((index, share(arm)));
            }
        }
        if chosen.is_empty() {
            let holdout = arms.iter().position(|arm| *arm == Arm::Holdout).unwrap_or_default();
            (chosen, total) = (vec![(holdout, WHOLE)], u32::from(WHOLE));
        }
        let arms_in: Vec<Candidate> = chosen
            .into_iter()
            .map(|(arm, share)| Candidate { arm, probability: f64::from(share) / f64::from(total) })
            .collect();
        let of = |wanted: &Arm| {
            arms_in.iter().find(|c| arms[c.arm] == *wanted).map_or(0.0, |candidate| candidate.probability)
        };
        let mut text = if name.is_empty() { String::new() } else { format!("{name}:") };
        for candidate in &arms_in {
            let arm = match &arms[candidate.arm] {
                Arm::Champion => "champion",
                Arm::Challenger(release) => release,
                Arm::Holdout => "holdout",
            };
            let gap = if text.is_empty() { "" } else { " " };
            // Writing to a string cannot fail.
            let _ = write!(text, "{gap}{arm}={}", candidate.probability);
        }
        let (champion, holdout) = (of(&Arm::Champion), of(&Arm::Holdout));
        Self { champion, holdout, text: text.into(), arms: arms_in }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(age: f64) -> Frame {
        Frame::new(vec![Field::number("age")].into(), vec![Column::Number(vec![age])]).unwrap()
    }

    fn challenger() -> Arm {
        Arm::Challenger("calls.2".to_owned())
    }

    fn assigner(spec: &AssignmentSpec) -> Assigner {
        let shares = [(Arm::Champion, 6_000), (challenger(), 3_000)];
        let split = Split::default().with_shares(&shares).unwrap();
        spec.validate(&[Field::number("age")]).unwrap();
        Assigner::new("calls", spec, &split, &[Field::number("age")]).unwrap()
    }

    /// The shares that 20,000 units get, and that each propensity is the share of its arm.
    fn shares(assigner: &Assigner, age: f64) -> HashMap<Arm, f64> {
        let (frame, mut counts) = (frame(age), HashMap::new());
        let mut propensities: HashMap<Arm, f64> = HashMap::new();
        for i in 0..20_000 {
            let assigned = assigner.assign(&format!("u{i}"), &frame, 0);
            *counts.entry(assigned.arm.clone()).or_insert(0.0) += 1.0 / 20_000.0;
            propensities.insert(assigned.arm.clone(), assigned.propensity);
        }
        for (arm, propensity) in propensities {
            let error = 4.0 * (propensity * (1.0 - propensity) / 20_000.0).sqrt();
            assert!((counts[&arm] - propensity).abs() <= error + 1e-9, "{arm:?} {counts:?} {propensity}");
        }
        counts
    }

    #[test]
    fn the_propensity_is_the_share_of_the_arm() {
        let assigner = assigner(&AssignmentSpec::default());
        assert_eq!(shares(&assigner, 30.0).len(), 3);
        let text = assigner.assign("u1", &frame(1.0), 0).candidates.to_string();
        assert_eq!(text, "champion=0.6 calls.2=0.3 holdout=0.1");
    }

    #[test]
    fn a_rule_renormalises_and_moves_nobody_who_may_stay() {
        let rule = Rule {
            name: "young".to_owned(),
            when: "features.age < 25".to_owned(),
            among: vec![Arm::Champion, Arm::Holdout],
        };
        let everyone = assigner(&AssignmentSpec::default());
        let ruled = assigner(&AssignmentSpec { rules: vec![rule], ..AssignmentSpec::default() });
        let found = shares(&ruled, 20.0);
        assert!(!found.contains_key(&challenger()) && found.len() == 2);
        let young = frame(20.0);
        let expected = 6.0 / 7.0;
        assert_eq!(ruled.assign("u1", &young, 0).champion_propensity, expected);
        assert!(ruled.assign("u1", &young, 0).candidates.starts_with("young: champion=0.857"));
        for i in 0..1_000 {
            let unit = format!("u{i}");
            let (before, after) = (everyone.assign(&unit, &young, 0).arm, ruled.assign(&unit, &young, 0).arm);
            assert!(before == after || *before == challenger());
            assert_eq!(ruled.assign(&unit, &frame(40.0), 0).arm, before);
        }
    }

    #[test]
    fn a_tester_gets_what_the_override_says_and_is_not_randomised() {
        let of = |unit: &str, arm: Arm| Override { unit: unit.to_owned(), arm };
        let gone = Arm::Challenger("calls.9".to_owned());
        let overrides = vec![of("anna", challenger()), of("ben", Arm::Holdout), of("cem", gone)];
        let assigner = assigner(&AssignmentSpec { overrides, ..AssignmentSpec::default() });
        let anna = assigner.assign("anna", &frame(1.0), 0);
        assert_eq!((anna.arm, anna.propensity, anna.champion_propensity), (&challenger(), 1.0, 0.0));
        assert_eq!(assigner.assign("ben", &frame(1.0), 0).arm, &Arm::Holdout);
        assert_eq!(
            &**assigner.assign("cem", &frame(1.0), 0).candidates,
            "champion=0.6 calls.2=0.3 holdout=0.1"
        );
    }

    #[test]
    fn layers_do_not_overlap() {
        let layer = |from_percent, until_percent| AssignmentSpec {
            layer: Some(LayerSpec { name: "crm".to_owned(), from_percent, until_percent }),
            ..AssignmentSpec::default()
        };
        let (low, high) = (assigner(&layer(0, 50)), assigner(&layer(50, 100)));
        let outside =
            |a: &Assigner, unit: &str| a.assign(unit, &frame(1.0), 0).candidates.starts_with("outside");
        for i in 0..2_000 {
            let unit = format!("u{i}");
            assert_ne!(outside(&low, &unit), outside(&high, &unit));
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let rule = |when: &str, among: Vec<Arm>| AssignmentSpec {
            rules: vec![Rule { name: "r".to_owned(), when: when.to_owned(), among }],
            ..AssignmentSpec::default()
        };
        let fields = [Field::number("age")];
        assert!(rule("features.age", vec![Arm::Champion]).validate(&fields).is_err());
        assert!(rule("features.size > 1", vec![Arm::Champion]).validate(&fields).is_err());
        assert!(rule("features.age > 1", vec![]).validate(&fields).is_err());
        assert!(rule("features.age > 1", vec![Arm::Champion]).validate(&fields).is_ok());
    }
}
