//! Settlements: each run is written once.

use greenlight_app::lake::{Lake, Reversed, Settlement};
use greenlight_domain::prediction::Variant;

use crate::events::{ENDPOINT, after, id_at, lake};

fn rows(count: i64) -> Vec<Settlement> {
    (0..count)
        .map(|s| Settlement {
            id: id_at(s),
            day: after(s).day(),
            variant: if s % 2 == 0 { Variant::Champion } else { Variant::Holdout },
            release: (s % 2 == 0).then(|| "release-1".into()),
            value_minor: 100 * s - 50,
            earned_minor: (s % 2 == 0).then_some(12.5),
            positive: s > 0,
            failed: s == 3,
            champion_percent: 50,
            reverses: (s > 2).then_some(Reversed {
                value_minor: -s,
                earned_minor: (s == 4).then_some(0.5),
                positive: s == 4,
            }),
        })
        .collect()
}

#[tokio::test]
async fn a_run_is_written_once_and_comes_back_whole() {
    let root = tempfile::tempdir().unwrap();
    let first = lake(root.path()).await;
    assert_eq!(first.settlements_of(ENDPOINT, 7).await.unwrap(), None);
    let written = rows(5);
    first.write_settlements(ENDPOINT, 7, &written).await.unwrap();
    first.write_settlements(ENDPOINT, 7, &rows(2)).await.unwrap();
    assert_eq!(first.settlements_of(ENDPOINT, 7).await.unwrap(), Some(written.clone()));
    drop(first);
    let second = lake(root.path()).await;
    second.write_settlements(ENDPOINT, 7, &rows(2)).await.unwrap();
    assert_eq!(second.settlements_of(ENDPOINT, 7).await.unwrap(), Some(written));
}

#[tokio::test]
async fn a_run_that_was_overtaken_can_still_be_written_once() {
    let root = tempfile::tempdir().unwrap();
    let lake = lake(root.path()).await;
    let (nine, eight) = (rows(2), rows(3));
    lake.write_settlements(ENDPOINT, 9, &nine).await.unwrap();
    for _ in 0..2 {
        lake.write_settlements(ENDPOINT, 8, &eight).await.unwrap();
        lake.write_settlements(ENDPOINT, 9, &eight).await.unwrap();
    }
    assert_eq!(lake.settlements_of(ENDPOINT, 8).await.unwrap(), Some(eight));
    assert_eq!(lake.settlements_of(ENDPOINT, 9).await.unwrap(), Some(nine));
}

#[tokio::test]
async fn an_empty_run_leaves_nothing() {
    let root = tempfile::tempdir().unwrap();
    let lake = lake(root.path()).await;
    lake.write_settlements(ENDPOINT, 1, &[]).await.unwrap();
    assert_eq!(lake.settlements_of(ENDPOINT, 1).await.unwrap(), None);
}
