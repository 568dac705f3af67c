//! Runs in the order of a metric, and what was logged to a page of them.

use std::cmp::Ordering;

use greenlight_domain::run_search::{parse_filter, parse_order};
use greenlight_domain::time::Micros;
use greenlight_store::experiment::Location;
use greenlight_store::metric::Point;
use greenlight_store::run::NewRun;
use greenlight_store::run_search::{RunSearch, View, search};
use greenlight_store::{Stamp, Store, Transaction, experiment, metric, param, run, run_tag};

#[derive(Debug, Clone)]
struct Known {
    id: String,
    experiment: i64,
    value: Option<f64>,
    team: Option<String>,
    started_at: i64,
    deleted: bool,
}

/// Values that tie, are infinite or no number, and runs that have none; a third of the runs in another experiment.
async fn seed(tx: &mut Transaction, other: i64) -> Vec<Known> {
    const VALUES: [Option<f64>; 9] = [
        None,
        Some(f64::NAN),
        Some(0.0),
        Some(0.5),
        Some(0.5),
        Some(-1.5),
        Some(f64::INFINITY),
        Some(f64::NEG_INFINITY),
        None,
    ];
    let mut all = Vec::new();
    for n in 0..70_usize {
        let run = Known {
            id: format!("{:08x}", n * 2_654_435_761 % 0xffff_ffff),
            experiment: if n % 3 == 2 { other } else { 0 },
            value: VALUES[(n * 7 + n / 9) % VALUES.len()],
            team: (n % 4 != 0).then(|| format!("t{}", n % 2)),
            started_at: 1_000 * (n as i64 % 5),
            deleted: n % 11 == 0,
        };
        let started_at = Micros(run.started_at);
        let new =
            NewRun { id: &run.id, experiment_id: run.experiment, name: "r", author: "dana", started_at };
        let number = run::create(tx, new).await.unwrap();
        let mut points = vec![Point { key: "loss", value: n as f64, at_ms: 1, step: 1 }];
        points.extend(run.value.map(|value| Point { key: "acc", value, at_ms: 1, step: 1 }));
        metric::log(tx, (number, run.experiment), &points).await.unwrap();
        if let Some(team) = &run.team {
            run_tag::set(tx, number, &[("team", team)]).await.unwrap();
        }
        if run.deleted {
            run::set_deleted(tx, number, Some(Micros(1))).await.unwrap();
        }
        all.push(run);
    }
    all
}

fn directed(order: Ordering, ascending: bool) -> Ordering {
    if ascending { order } else { order.reverse() }
}

/// Values, then NaN, then none; the newest first among equals, then by id.
fn plain(one: &Known, two: &Known, ascending: bool, team: Option<bool>) -> Ordering {
    let rank = |run: &Known| run.value.map_or(2, |value| u8::from(value.is_nan()));
    let number = |run: &Known| run.value.filter(|value| !value.is_nan()).unwrap_or_default();
    let by_value = directed(number(one).total_cmp(&number(two)), ascending);
    let by_team = team.map_or(Ordering::Equal, |ascending| {
        let missing = one.team.is_none().cmp(&two.team.is_none());
        missing.then_with(|| directed(one.team.cmp(&two.team), ascending))
    });
    let tie = two.started_at.cmp(&one.started_at).then_with(|| one.id.cmp(&two.id));
    rank(one).cmp(&rank(two)).then(by_value).then(by_team).then(tie)
}

async fn paged(tx: &mut Transaction, asked: RunSearch<'_>) -> Vec<String> {
    let mut ids = Vec::new();
    loop {
        let page = RunSearch { offset: ids.len() as i64, ..asked };
        let found = search(tx, page).await.unwrap();
        assert!(found.len() as i64 <= asked.limit);
        if found.is_empty() {
            return ids;
        }
        ids.extend(found.into_iter().map(|run| run.id));
    }
}

pub(crate) async fn runs_by_a_metric_are_those_of_a_plain_sort(store: &Store) {
    let mut tx = store.begin().await.unwrap();
    let stamp = Stamp { at: Micros(1), actor: "dana" };
    let other = experiment::insert(&mut tx, "other", Location::At("s3://b"), stamp).await.unwrap();
    let all = seed(&mut tx, other).await;
    for (orders, ascending, team) in [
        (&["metrics.acc"][..], true, None),
        (&["metrics.acc DESC"], false, None),
        (&["metrics.acc", "tags.team DESC"], true, Some(false)),
        (&["metrics.acc DESC", "tags.team"], false, Some(true)),
    ] {
        let parsed: Vec<_> = orders.iter().map(|order| parse_order(order).unwrap()).collect();
        for (filter, loss) in [("", 0.0), ("metrics.loss >= 30", 30.0), ("metrics.loss >= 99", 99.0)] {
            let conditions = parse_filter(filter).unwrap();
            for experiments in [&[0][..], &[other], &[0, other], &[9]] {
                for (view, deleted) in
                    [(View::Active, Some(false)), (View::Deleted, Some(true)), (View::All, None)]
                {
                    let mut expected: Vec<&Known> = all
                        .iter()
                        .enumerate()
                        .filter(|(n, _)| *n as f64 >= loss)
                        .map(|(_, run)| run)
                        .filter(|run| experiments.contains(&run.experiment))
                        .filter(|run| deleted.is_none_or(|deleted| run.deleted == deleted))
                        .collect();
                    expected.sort_by(|one, two| plain(one, two, ascending, team));
                    let expected: Vec<&str> = expected.into_iter().map(|run| run.id.as_str()).collect();
                    for limit in [7, 100] {
                        let asked = RunSearch {
                            experiments,
                            view,
                            conditions: &conditions,
                            orders: &parsed,
                            limit,
                            offset: 0,
                        };
                        let found = paged(&mut tx, asked).await;
                        assert_eq!(
                            found, expected,
                            "{orders:?} {filter} {experiments:?} {view:?} by {limit}"
                        );
                    }
                }
            }
        }
    }
}

pub(crate) async fn a_page_of_runs_has_everything_exactly(store: &Store) {
    let mut tx = store.begin().await.unwrap();
    let values = [
        0.1 + 0.2,
        5e-324,
        f64::MAX,
        f64::MIN_POSITIVE,
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::NAN,
        1.0 / 3.0,
        -7.0,
    ];
    let keys: Vec<String> = (0..20).map(|n| format!("{n} 3:é/{n}")).collect();
    let mut infos = Vec::new();
    for (id, count) in [("none", 0), ("one", 1), ("eight", 8), ("many", keys.len())] {
        let new = NewRun { id, experiment_id: 0, name: id, author: "dana", started_at: Micros(1) };
        let number = run::create(&mut tx, new).await.unwrap();
        let points: Vec<Point<'_>> = keys[..count]
            .iter()
            .enumerate()
            .map(|(n, key)| Point {
                key,
                value: values[n % values.len()],
                at_ms: n as i64,
                step: -(n as i64),
            })
            .collect();
        metric::log(&mut tx, (number, 0), &points).await.unwrap();
        let pairs: Vec<(&str, &str)> = keys[..count].iter().map(|key| (&**key, "")).collect();
        assert_eq!(param::log(&mut tx, number, &pairs).await.unwrap(), []);
        run_tag::set(&mut tx, number, &[("a", id), ("note", "4:ü\n;'\"\\ 12:")]).await.unwrap();
        infos.push(run::info(&mut tx, id).await.unwrap().unwrap());
    }
    let together = run::records(&mut tx, infos.clone()).await.unwrap();
    for (info, record) in infos.into_iter().zip(&together) {
        let alone = run::records(&mut tx, vec![info]).await.unwrap().remove(0);
        assert_eq!(format!("{alone:?}"), format!("{record:?}"), "NaN differs from itself, its text does not");
    }
    let many = &together[3];
    let mut sorted = keys.clone();
    sorted.sort();
    assert_eq!(many.metrics.iter().map(|m| &m.key).collect::<Vec<_>>(), sorted.iter().collect::<Vec<_>>());
    assert_eq!(many.params.iter().map(|p| &p.0).collect::<Vec<_>>(), sorted.iter().collect::<Vec<_>>());
    for point in &many.metrics {
        let n = keys.iter().position(|key| *key == point.key).unwrap();
        assert_eq!(format!("{:?}", point.value), format!("{:?}", values[n % values.len()]));
        assert_eq!((point.at_ms, point.step), (n as i64, -(n as i64)));
    }
    let counts: Vec<usize> = together.iter().map(|run| run.metrics.len()).collect();
    assert_eq!(counts, [0, 1, 8, 20]);
    assert_eq!(
        many.tags,
        [("a".to_owned(), "many".to_owned()), ("note".to_owned(), "4:ü\n;'\"\\ 12:".to_owned())]
    );
}
