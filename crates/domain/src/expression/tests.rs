use super::*;

struct Bank;

impl Scope for Bank {
    fn resolve(&self, table: &str, column: &str) -> Option<(usize, Kind)> {
        match (table, column) {
            ("features", "balance") => Some((0, Kind::Number)),
            ("", "decision") => Some((1, Kind::Text)),
            ("outcomes", "subscribed") => Some((2, Kind::Number)),
            _ => None,
        }
    }

    fn names(&self) -> Vec<String> {
        vec!["features.balance".into(), "decision".into(), "outcomes.subscribed".into()]
    }
}

fn run<'a>(expression: &'a Expression, row: [Cell<'a>; 3]) -> Cell<'a> {
    expression.evaluate(&|slot| row[slot])
}

fn check(sql: &str, expected: Cell<'_>) {
    let expression = Expression::parse(sql, &Bank).unwrap();
    assert_eq!(
        run(&expression, [Cell::Number(1000.0), Cell::Text("call"), Cell::Number(1.0)]),
        expected,
        "{sql}"
    );
}

fn refused(sql: &str, hint: &str) {
    let error = Expression::parse(sql, &Bank).unwrap_err().to_string();
    assert!(error.contains(hint), "{sql}: {error}");
}

#[test]
fn arithmetic_and_precedence_are_those_of_sql() {
    check("1 + 2 * 3", Cell::Number(7.0));
    check("-(1 + 2) / 2", Cell::Number(-1.5));
    check("features.balance / 0", Cell::Null);
    check("0.25 * greatest(features.balance, 0) - 5", Cell::Number(245.0));
}

#[test]
fn the_value_of_a_call_depends_on_decision_and_outcome() {
    let sql = "CASE WHEN decision = 'call' THEN \
               outcomes.subscribed * 0.0246333 * 0.25 * greatest(features.balance, 0) - 5 ELSE 0 END";
    let expression = Expression::parse(sql, &Bank).unwrap();
    let worth = |decision, subscribed| {
        run(&expression, [Cell::Number(1000.0), Cell::Text(decision), Cell::Number(subscribed)])
            .number()
            .unwrap()
    };
    assert!((worth("call", 1.0) - 1.158_325).abs() < 1e-12);
    assert!((worth("call", 0.0) + 5.0).abs() < 1e-12);
    assert!(worth("skip", 1.0).abs() < 1e-12);
}

#[test]
fn null_spreads_through_arithmetic_and_is_not_true() {
    check("NULL + 1", Cell::Null);
    check("NULL = NULL", Cell::Null);
    check("CASE WHEN NULL THEN 1 ELSE 2 END", Cell::Number(2.0));
    check("coalesce(NULL, 3)", Cell::Number(3.0));
    check("greatest(NULL, 3)", Cell::Number(3.0));
    check("FALSE AND NULL", Cell::Bool(false));
    check("TRUE AND NULL", Cell::Null);
    check("NULL OR TRUE", Cell::Bool(true));
    check("features.balance IS NOT NULL", Cell::Bool(true));
}

#[test]
fn lists_ranges_and_simple_case() {
    check("decision IN ('call', 'mail')", Cell::Bool(true));
    check("decision NOT IN ('mail')", Cell::Bool(true));
    check("features.balance BETWEEN 1 AND 1000", Cell::Bool(true));
    check("CASE decision WHEN 'mail' THEN 1 WHEN 'call' THEN 2 END", Cell::Number(2.0));
}

#[test]
fn what_cannot_be_right_is_refused_when_it_is_saved() {
    refused("features.income + 1", "there is no column 'features.income'; there are features.balance");
    refused("decision + 1", "'decision' is text where a number is needed");
    refused("CASE WHEN 1 THEN 2 END", "'1' is a number where a condition is needed");
    refused("CASE WHEN TRUE THEN 2 ELSE 'x' END", "do not mix");
    refused("pg_sleep(10)", "there is no function 'pg_sleep'");
    refused("(SELECT 1)", "not supported");
    refused("1; DROP TABLE posting", "unexpected ';'");
    refused("features.balance = decision", "do not mix");
    refused(&"(".repeat(200), "");
    refused(&"1+".repeat(9000), "longer than");
}
