//! What runs are searched by: MLflow's filter and order clauses, read into conditions.
//!
//! Owns the grammar: a conjunction of comparisons of metrics, parameters, tags, attributes and data sets. Refuses what
//! MLflow refuses, with its words, because clients match on them. How a database finds the runs is the store's affair.

mod clause;

pub use clause::{parse_filter, parse_order};

/// What a condition looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// The newest value of a metric.
    Metric(String),
    /// A parameter.
    Param(String),
    /// A tag.
    Tag(String),
    /// Something of the run itself.
    Attribute(Attribute),
    /// Something of a data set that the run read.
    Dataset(DatasetField),
}

/// What a run itself has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attribute {
    /// Its id.
    RunId,
    /// Its name for people.
    RunName,
    /// Who started it.
    UserId,
    /// How far it is.
    Status,
    /// Where its artifacts lie.
    ArtifactUri,
    /// When it started, epoch milliseconds.
    StartTime,
    /// When it ended, epoch milliseconds.
    EndTime,
}

impl Attribute {
    /// Whether it is a number.
    pub fn is_number(self) -> bool {
        matches!(self, Self::StartTime | Self::EndTime)
    }
}

/// What a data set of a run has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DatasetField {
    /// Its name.
    Name,
    /// The digest of its content.
    Digest,
    /// What the run used it for.
    Context,
}

/// How two numbers or two texts compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparator {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    AtMost,
    /// `>`
    Greater,
    /// `>=`
    AtLeast,
}

impl Comparator {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::AtMost => "<=",
            Self::Greater => ">",
            Self::AtLeast => ">=",
        }
    }

    fn of(text: &str) -> Option<Self> {
        [Self::Equal, Self::NotEqual, Self::Less, Self::AtMost, Self::Greater, Self::AtLeast]
            .into_iter()
            .find(|comparator| comparator.as_str() == text)
    }
}

/// What is asked of a subject.
#[derive(Debug, Clone, PartialEq)]
pub enum Test {
    /// A number compares like that.
    Number(Comparator, f64),
    /// A text is that one (`true`), or another.
    Text(bool, String),
    /// A text is like a pattern: `%` stands for any characters, `_` for one.
    Like {
        /// The pattern.
        pattern: String,
        /// Whether upper and lower case are told apart.
        cased: bool,
    },
    /// A text is one of these (`true`), or none of them.
    In(bool, Vec<String>),
    /// There is something of that key (`true`), or nothing.
    Present(bool),
}

/// One condition; all of them must hold.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    /// What it looks at.
    pub subject: Subject,
    /// What it asks.
    pub test: Test,
}

/// One part of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// What is compared. Never a data set.
    pub subject: Subject,
    /// From the least to the greatest.
    pub ascending: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn condition(filter: &str) -> Condition {
        let mut found = parse_filter(filter).unwrap();
        assert_eq!(found.len(), 1, "{filter}");
        found.remove(0)
    }

    fn refused(filter: &str) -> String {
        parse_filter(filter).unwrap_err().to_string()
    }

    #[test]
    fn comparisons_of_every_kind() {
        let number =
            |subject, comparator, value| Condition { subject, test: Test::Number(comparator, value) };
        let metric = |key: &str| Subject::Metric(key.to_owned());
        assert_eq!(condition("metrics.auc > 0.9"), number(metric("auc"), Comparator::Greater, 0.9));
        assert_eq!(condition("metric.`a b`<=-1E-5"), number(metric("a b"), Comparator::AtMost, -1e-5));
        let start = Subject::Attribute(Attribute::StartTime);
        assert_eq!(condition("Created >= 12"), number(start, Comparator::AtLeast, 12.0));
        let text = |subject, is, value: &str| Condition { subject, test: Test::Text(is, value.to_owned()) };
        let param = |key: &str| Subject::Param(key.to_owned());
        assert_eq!(condition("params.\"a.b\" = 'x y'"), text(param("a.b"), true, "x y"));
        assert_eq!(condition("parameter.p != \"1\""), text(param("p"), false, "1"));
        assert_eq!(
            condition("tags.mlflow.user ilike 'D%'"),
            Condition {
                subject: Subject::Tag("mlflow.user".to_owned()),
                test: Test::Like { pattern: "D%".to_owned(), cased: false }
            }
        );
        assert_eq!(
            condition("attributes.run_id NOT  IN ('a', \"b\",)"),
            Condition {
                subject: Subject::Attribute(Attribute::RunId),
                test: Test::In(false, vec!["a".to_owned(), "b".to_owned()])
            }
        );
        assert_eq!(
            condition("tags.t is not null"),
            Condition { subject: Subject::Tag("t".to_owned()), test: Test::Present(true) }
        );
        assert_eq!(
            condition("dataset.name = 'wine'"),
            text(Subject::Dataset(DatasetField::Name), true, "wine")
        );
    }

    #[test]
    fn conditions_are_joined_by_and() {
        for filter in ["metrics.a > 1 AND params.b = 'x'", "AND metrics.a > 1 and and params.b='x'"] {
            assert_eq!(parse_filter(filter).unwrap().len(), 2, "{filter}");
        }
        assert_eq!(parse_filter("").unwrap(), []);
        assert!(refused("metrics.a > 1 OR metrics.b > 1").starts_with("Invalid clause(s) in filter string"));
    }

    /// Messages of mlflow 3.17.2, whose clients and tests match on parts of them.
    #[test]
    fn what_is_wrong_is_said_in_mlflows_words() {
        assert_eq!(refused("metrics.auc = 'x'"), "Expected numeric value type for metric. Found 'x'");
        assert_eq!(
            refused("params.p = 1"),
            "Expected a quoted string value for parameter (e.g. 'my-value'). Got value 1"
        );
        assert_eq!(
            refused("model.p = 1"),
            "Invalid entity type 'model'. Valid values are ['metric', 'parameter', 'tag', 'attribute', 'dataset']"
        );
        assert!(
            refused("attribute.run_uuid = 'x'").starts_with("Invalid attribute key 'run_uuid' specified.")
        );
        assert!(refused("metrics.m LIKE 1").starts_with("Invalid comparator 'LIKE' not one of"));
        assert!(
            refused("metrics.m IS NULL")
                .starts_with("IS NULL / IS NOT NULL is only supported for tags and params")
        );
        assert_eq!(
            refused("status IN ('a')"),
            "Only ['run_id'] attributes support comparison with a list of quoted string values."
        );
        assert!(
            refused("run_id IN ()")
                .contains("expected a non-empty list of string values, but got empty list")
        );
        assert!(refused("params.p = `x`").starts_with("Parameter value is either not quoted"));
    }

    #[test]
    fn orders() {
        let order = |text: &str| parse_order(text).unwrap();
        assert_eq!(
            order("start_time"),
            Order { subject: Subject::Attribute(Attribute::StartTime), ascending: true }
        );
        assert_eq!(
            order("metrics.`a b` DESC"),
            Order { subject: Subject::Metric("a b".to_owned()), ascending: false }
        );
        assert_eq!(order("params.x asc"), Order { subject: Subject::Param("x".to_owned()), ascending: true });
        for wrong in
            ["", " start_time", "start_time, end_time", "start_time DESC NULLS LAST", "dataset.name", "'x'"]
        {
            assert!(parse_order(wrong).is_err(), "{wrong}");
        }
        let wrong = parse_order("metrics.m up").unwrap_err().to_string();
        assert_eq!(wrong, "Invalid ordering key in order_by clause 'metrics.m up'.");
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[a-z.`'\"()=<>! ,%0-9-]{0,60}") {
            let _ = parse_filter(&text);
            let _ = parse_order(&text);
        }
    }
}
