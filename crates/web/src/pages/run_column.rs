//! What the address of a table of runs says: filter, order, place, and which columns are shown.

use greenlight_app::run::RunRecord;
use greenlight_app::run_search::View;
use greenlight_app::run_table::RunTableQuery;

use crate::session::percent_encoded;

/// Columns of one kind that are shown when nobody says which.
const USUAL: usize = 5;
/// Most columns of one kind.
const MAX_COLUMNS: usize = 40;

/// Metrics and parameters that have a column.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Columns {
    /// Metrics, by name.
    pub metrics: Vec<String>,
    /// Parameters, by name.
    pub params: Vec<String>,
}

/// What the address of a table says.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Address {
    /// Which runs.
    pub query: RunTableQuery,
    /// Which columns; the first ones when nobody said.
    pub columns: Option<Columns>,
}

impl Address {
    /// Reads the pairs behind the question mark. What is unknown or no number is not looked at.
    pub fn of(pairs: &[(String, String)]) -> Self {
        let mut address = Self::default();
        let mut columns = Columns::default();
        let mut chosen = false;
        for (name, value) in pairs {
            match name.as_str() {
                "filter" => value.trim().clone_into(&mut address.query.filter),
                "order" => value.trim().clone_into(&mut address.query.order),
                "view" => address.query.view = view(value),
                "rows" => address.query.limit = value.parse().unwrap_or(address.query.limit),
                "from" => address.query.offset = value.parse().unwrap_or(0),
                "columns" => chosen = true,
                "metric" => add(&mut columns.metrics, value),
                "param" => add(&mut columns.params, value),
                _ => {}
            }
        }
        chosen |= columns != Columns::default();
        address.columns = chosen.then_some(columns);
        address
    }

    /// The address of the same table in another order, from its beginning.
    pub fn ordered(&self, order: &str) -> String {
        self.with(order, 0)
    }

    /// The address of the same table from another place.
    pub fn from(&self, offset: i64) -> String {
        self.with(&self.query.order, offset)
    }

    fn with(&self, order: &str, offset: i64) -> String {
        let mut pairs: Vec<(&str, String)> = Vec::new();
        let set = |pairs: &mut Vec<(&str, String)>, name, value: &str| {
            if !value.is_empty() {
                pairs.push((name, value.to_owned()));
            }
        };
        set(&mut pairs, "filter", &self.query.filter);
        set(&mut pairs, "order", order);
        if self.query.view != View::Active {
            set(&mut pairs, "view", word(self.query.view));
        }
        if self.query.limit != RunTableQuery::default().limit {
            set(&mut pairs, "rows", &self.query.limit.to_string());
        }
        if offset > 0 {
            set(&mut pairs, "from", &offset.to_string());
        }
        if let Some(columns) = &self.columns {
            set(&mut pairs, "columns", "chosen");
            pairs.extend(columns.metrics.iter().map(|key| ("metric", key.clone())));
            pairs.extend(columns.params.iter().map(|key| ("param", key.clone())));
        }
        let written = pairs.iter().map(|(name, value)| format!("{name}={}", percent_encoded(value)));
        format!("?{}", written.collect::<Vec<_>>().join("&"))
    }

    /// The columns that are shown of these runs.
    pub fn shown(&self, known: &Columns) -> Columns {
        self.columns.clone().unwrap_or_else(|| Columns {
            metrics: known.metrics.iter().take(USUAL).cloned().collect(),
            params: known.params.iter().take(USUAL).cloned().collect(),
        })
    }

    /// The columns that these runs could have, and those that were chosen.
    pub fn known(&self, runs: &[RunRecord]) -> Columns {
        let chosen = self.columns.clone().unwrap_or_default();
        let sorted = |mut keys: Vec<String>| {
            keys.sort_unstable();
            keys.dedup();
            keys
        };
        let metrics = runs.iter().flat_map(|run| run.metrics.iter().map(|metric| metric.key.clone()));
        let params = runs.iter().flat_map(|run| run.params.iter().map(|(key, _)| key.clone()));
        Columns {
            metrics: sorted(metrics.chain(chosen.metrics).collect()),
            params: sorted(params.chain(chosen.params).collect()),
        }
    }
}

fn add(keys: &mut Vec<String>, key: &str) {
    if !key.is_empty() && keys.len() < MAX_COLUMNS && !keys.iter().any(|known| known == key) {
        keys.push(key.to_owned());
    }
}

/// The word of a view in an address.
pub(super) fn word(view: View) -> &'static str {
    match view {
        View::Active => "active",
        View::Deleted => "deleted",
        View::All => "all",
    }
}

fn view(word: &str) -> View {
    match word {
        "deleted" => View::Deleted,
        "all" => View::All,
        _ => View::Active,
    }
}

/// A metric or a parameter in MLflow's order clause; none for a name that cannot stand in one.
pub(super) fn subject(entity: &str, key: &str) -> Option<String> {
    (!key.contains('`')).then(|| format!("{entity}.`{key}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &[(&str, &str)]) -> Address {
        let pairs: Vec<(String, String)> =
            text.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Address::of(&pairs)
    }

    #[test]
    fn an_address_keeps_what_it_says() {
        let read = address(&[
            ("filter", "metrics.auc > 0.7 and params.l = 'a b'"),
            ("order", "metrics.`auc` DESC"),
            ("rows", "25"),
            ("from", "50"),
            ("view", "deleted"),
            ("metric", "auc"),
            ("metric", "auc"),
            ("param", "a&b=c"),
        ]);
        let written = read.from(75);
        assert_eq!(
            written,
            "?filter=metrics.auc%20%3E%200.7%20and%20params.l%20%3D%20%27a%20b%27&order=metrics.%60auc%60%20DESC\
             &view=deleted&rows=25&from=75&columns=chosen&metric=auc&param=a%26b%3Dc"
        );
        assert_eq!(read.ordered("start_time ASC").matches("from=").count(), 0, "another order begins anew");
    }

    #[test]
    fn an_address_that_says_little_or_nonsense_is_the_usual_one() {
        assert_eq!(address(&[]), Address::default());
        assert_eq!(
            address(&[("from", "x"), ("rows", "many"), ("view", "?"), ("other", "1")]),
            Address::default()
        );
        assert_eq!(address(&[]).from(0), "?");
        let none = address(&[("columns", "chosen")]);
        assert_eq!(none.columns, Some(Columns::default()), "no column at all can be chosen, too");
    }

    #[test]
    fn columns_are_bounded() {
        let many: Vec<(String, String)> = (0..99).map(|n| ("metric".to_owned(), format!("m{n}"))).collect();
        assert_eq!(Address::of(&many).columns.unwrap().metrics.len(), MAX_COLUMNS);
        let known = Columns { metrics: (0..9).map(|n| n.to_string()).collect(), params: vec![] };
        assert_eq!(Address::default().shown(&known).metrics.len(), USUAL);
    }
}
