//! Hypotheses, their findings, and the words by which they are found.

use greenlight_domain::hypothesis::{Effect, Finding, HypothesisSpec, RUN_TAG, Verdict, counted, words};
use greenlight_domain::time::Micros;
use greenlight_store::hypothesis::{self, Which};
use greenlight_store::run::NewRun;
use greenlight_store::{Stamp, Store, run, run_tag};

fn stamp(at: i64) -> Stamp<'static> {
    Stamp { at: Micros(at), actor: "dana" }
}

fn spec(statement: &str, initiative: &str) -> HypothesisSpec {
    HypothesisSpec {
        statement: statement.to_owned(),
        why: "because".to_owned(),
        refuted_by: "a test".to_owned(),
        initiative: initiative.to_owned(),
        owner: "dana".to_owned(),
    }
}

pub(crate) async fn hypotheses_are_closed_and_found_again(store: &Store) {
    let mut tx = store.begin().await.unwrap();
    assert_eq!(hypothesis::extent(&mut tx).await.unwrap(), (0, 0.0));
    let first = spec("Discounts keep customers", "churn");
    let one = hypothesis::open(&mut tx, &first, &counted(words(&first.statement)), stamp(1)).await.unwrap();
    let second = spec("Shorter calls sell more", "calls");
    let two = hypothesis::open(&mut tx, &second, &counted(words(&second.statement)), stamp(2)).await.unwrap();
    assert_eq!((one, two), (1, 2));
    let found = hypothesis::get(&mut tx, &[one]).await.unwrap();
    assert_eq!((&found[0].spec, found[0].verdict.as_str()), (&first, ""));

    let effect = Effect { unit: "points".to_owned(), estimate: -0.5, low: -1.0, high: 0.1 };
    let finding = Finding {
        verdict: Verdict::Refutes,
        effect: Some(effect),
        learned: "discounts only moved the date".to_owned(),
        next: String::new(),
    };
    let more = counted(words(&finding.learned));
    hypothesis::add_event(&mut tx, one, (Some(&finding), ""), &more, stamp(3)).await.unwrap();
    assert_eq!(hypothesis::get(&mut tx, &[one]).await.unwrap()[0].verdict, "refutes");
    assert_eq!(hypothesis::holding(&mut tx, "discount", false, 9).await.unwrap(), [(one, 2, 7)]);
    assert_eq!(hypothesis::holding(&mut tx, "cust", true, 9).await.unwrap(), [(one, 1, 7)]);
    assert_eq!(hypothesis::holding(&mut tx, "cust", false, 9).await.unwrap(), []);
    assert_eq!(hypothesis::extent(&mut tx).await.unwrap(), (2, 5.5));

    let numbers =
        |found: Vec<hypothesis::Hypothesis>| found.into_iter().map(|h| h.number).collect::<Vec<_>>();
    let all = Which::default();
    assert_eq!(numbers(hypothesis::newest(&mut tx, &all, 9).await.unwrap()), [one, two]);
    let open = Which { verdict: "open", ..Which::default() };
    assert_eq!(numbers(hypothesis::newest(&mut tx, &open, 9).await.unwrap()), [two]);
    let refuted = Which { verdict: "refutes", initiative: "churn" };
    assert_eq!(numbers(hypothesis::newest(&mut tx, &refuted, 9).await.unwrap()), [one]);
    assert_eq!(hypothesis::counts(&mut tx, "churn").await.unwrap(), [("refutes".to_owned(), 1)]);

    hypothesis::add_event(&mut tx, one, (None, "another market"), &counted(vec![]), stamp(4)).await.unwrap();
    let events = hypothesis::events(&mut tx, one).await.unwrap();
    assert_eq!(events.len(), 2);
    assert_eq!((events[0].finding.as_ref(), events[1].reason.as_str()), (Some(&finding), "another market"));
    assert_eq!(hypothesis::get(&mut tx, &[one]).await.unwrap()[0].verdict, "");

    for id in ["r1", "r2", "r3"] {
        let new = NewRun { id, experiment_id: 0, name: id, author: "dana", started_at: Micros(5) };
        let number = run::create(&mut tx, new).await.unwrap();
        run_tag::set(&mut tx, number, &[(RUN_TAG, if id == "r3" { "H-2" } else { "H-1" })]).await.unwrap();
    }
    assert_eq!(hypothesis::runs(&mut tx, "H-1", 9).await.unwrap(), ["r2", "r1"]);
    assert_eq!(hypothesis::runs(&mut tx, "H-1", 1).await.unwrap(), ["r2"]);
}
