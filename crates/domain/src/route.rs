//! Routes: what an endpoint does with the next request. Versioned, written by rollouts, read by serving.

use serde::{Deserialize, Deserializer, Serialize};

use crate::DomainError;
use crate::assignment::{Arm, Split, WHOLE};

/// A model that a release put behind an endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoutedModel {
    /// Release id.
    pub release: String,
    /// Name of the model.
    pub model: String,
    /// Version of the model.
    pub version: i64,
}

impl RoutedModel {
    /// `name@version`.
    pub fn reference(&self) -> String {
        format!("{}@{}", self.model, self.version)
    }
}

/// A model that is compared with the champion on a part of its traffic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Challenger {
    /// Which model.
    #[serde(flatten)]
    pub model: RoutedModel,
    /// Percent of all units that it gets, out of the champion's.
    pub percent: u8,
}

/// Most challengers beside a champion.
pub const MAX_CHALLENGERS: usize = 16;
/// Most models in shadow at once: each of them scores every request.
pub const MAX_SHADOWS: usize = 8;

/// The routes of one endpoint. Without a champion every unit gets the holdout rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct Routes {
    /// Counts up; logged with every prediction.
    pub version: i64,
    /// The released model.
    pub champion: Option<RoutedModel>,
    /// Percent of units that get a model: the champion, or a challenger out of its share. The rest is the holdout.
    pub champion_percent: u8,
    /// Models that score beside the live answer, in the order they came.
    #[serde(default, alias = "shadow", deserialize_with = "none_one_or_many")]
    pub shadows: Vec<RoutedModel>,
    /// Models that are compared with the champion.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub challengers: Vec<Challenger>,
    /// Answers when the champion fails: the one before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<RoutedModel>,
    /// Which places belong to whom, as [`Routes::next`] has found it; read it by [`Routes::split`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub places: Option<Split>,
}

impl Routes {
    /// Who gets which units.
    pub fn split(&self) -> Split {
        self.places.clone().or_else(|| self.moved(&Split::default()).ok()).unwrap_or_default()
    }

    /// The next version, after champion, challengers or percents were changed: it moves as few units as it can.
    pub fn next(mut self) -> Result<Self, DomainError> {
        let before = self.places.clone().unwrap_or_default();
        self.places = Some(self.moved(&before)?);
        self.version += 1;
        Ok(self)
    }

    /// Ends a challenger; false when there is none of that release.
    pub fn end_challenger(&mut self, release: &str) -> bool {
        let before = self.challengers.len();
        self.challengers.retain(|c| c.model.release != release);
        self.challengers.len() < before
    }

    /// Takes a release out of shadow; false when it was not there.
    pub fn end_shadow(&mut self, release: &str) -> bool {
        let before = self.shadows.len();
        self.shadows.retain(|shadow| shadow.release != release);
        self.shadows.len() < before
    }

    fn moved(&self, before: &Split) -> Result<Split, DomainError> {
        let mut shares = Vec::with_capacity(1 + self.challengers.len());
        if self.champion.is_some() {
            let basis = |percent: u8| u16::from(percent) * (WHOLE / 100);
            let challenged: u16 = self.challengers.iter().map(|c| basis(c.percent)).sum();
            let Some(own) = basis(self.champion_percent.min(100)).checked_sub(challenged) else {
                let problem = format!(
                    "challengers get {} % of the units, but only {} % get a model",
                    challenged / (WHOLE / 100),
                    self.champion_percent
                );
                return Err(DomainError::invalid("challengers", problem));
            };
            shares.push((Arm::Champion, own));
            let challengers = self.challengers.iter();
            shares.extend(challengers.map(|c| (Arm::Challenger(c.model.release.clone()), basis(c.percent))));
        }
        before.with_shares(&shares)
    }

    /// Probability with which a unit gets the champion, where no rule says otherwise.
    pub fn champion_weight(&self) -> f64 {
        f64::from(self.split().share(&Arm::Champion)) / f64::from(WHOLE)
    }
}

/// Routes that were written when an endpoint had one shadow or none are read as well.
fn none_one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<RoutedModel>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Shadows {
        One(RoutedModel),
        Many(Vec<RoutedModel>),
    }
    Ok(match Option::<Shadows>::deserialize(deserializer)? {
        None => Vec::new(),
        Some(Shadows::One(shadow)) => vec![shadow],
        Some(Shadows::Many(shadows)) => shadows,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(release: &str) -> RoutedModel {
        RoutedModel { release: release.to_owned(), model: "m".to_owned(), version: 1 }
    }

    #[test]
    fn challengers_take_from_the_champion_and_never_from_the_holdout() {
        let mut routes = Routes { champion: Some(model("a.1")), champion_percent: 90, ..Routes::default() };
        routes = routes.next().unwrap();
        let holdout = routes.split().share(&Arm::Holdout);
        routes.challengers.push(Challenger { model: model("a.2"), percent: 10 });
        routes = routes.next().unwrap();
        assert_eq!((routes.champion_weight(), routes.version), (0.8, 2));
        assert_eq!(routes.split().share(&Arm::Holdout), holdout);
        routes.challengers[0].percent = 95;
        assert!(routes.clone().next().unwrap_err().to_string().contains("only 90 % get a model"));
        assert!(routes.end_challenger("a.2") && !routes.end_challenger("a.2"));
        assert_eq!(routes.next().unwrap().champion_weight(), 0.9);
    }

    #[test]
    fn routes_of_earlier_versions_are_read() {
        let text = r#"{"version":3,"champion":{"release":"a.1","model":"m","version":1},"champion_percent":50,
            "shadow":{"release":"a.2","model":"m","version":2}}"#;
        let mut routes: Routes = serde_json::from_str(text).unwrap();
        assert_eq!(routes.champion_weight(), 0.5);
        assert_eq!(routes.shadows, [RoutedModel { version: 2, ..model("a.2") }]);
        let again = serde_json::to_string(&routes).unwrap();
        assert_eq!(serde_json::from_str::<Routes>(&again).unwrap(), routes);
        assert!(routes.end_shadow("a.2") && !routes.end_shadow("a.2"));
        assert_eq!(
            serde_json::from_str::<Routes>(
                r#"{"version":0,"champion":null,"champion_percent":0,"shadow":null}"#
            )
            .unwrap()
            .champion_weight(),
            0.0
        );
    }
}
