//! What only the server promises: two processes see the same, prefixes keep apart, and its absence is said quickly.

use crate::{NOW, pairs, publish, redis_url, text};
use greenlight_online::{OnlineError, Store};
use std::net::TcpListener;
use std::time::Duration;

#[tokio::test]
async fn two_handles_see_the_same() {
    let url = redis_url();
    let (one, other) = (Store::open(&url).await.unwrap(), Store::open(&url).await.unwrap());
    publish(&one, "churn", "monday", pairs(0..5, "a")).await;
    assert_eq!(text(&other, "churn", "k4", NOW).await.as_deref(), Some("a"));
    other.upsert("churn", pairs(4..5, "b"), None, NOW).await.unwrap();
    assert_eq!(text(&one, "churn", "k4", NOW).await.as_deref(), Some("b"));
    assert_eq!(one.tables().await.unwrap(), other.tables().await.unwrap());
}

#[tokio::test]
async fn prefixes_keep_installations_apart() {
    let (one, other) = (Store::open(&redis_url()).await.unwrap(), Store::open(&redis_url()).await.unwrap());
    publish(&one, "churn", "monday", pairs(0..5, "a")).await;
    assert_eq!(text(&other, "churn", "k0", NOW).await, None);
    assert!(other.tables().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_server_that_is_away_is_said_to_be() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let store = Store::open(&format!("redis://user:secret@127.0.0.1:{port}")).await.unwrap();
    let first = store.get("churn", b"a", NOW).await.unwrap_err();
    assert!(matches!(first, OnlineError::Unavailable { .. }), "{first}");
    assert!(first.to_string().contains("see that the server runs"), "{first}");
    let second = store.get("churn", b"a", NOW).await.unwrap_err();
    assert!(second.to_string().contains("it did not answer a moment ago"), "{second}");
    assert!(!format!("{first}{second}{first:?}{store:?}").contains("secret"));
}

/// It accepts and never answers. The bound is generous: a second to connect and to answer, and a loaded machine.
#[tokio::test]
async fn a_server_that_hangs_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("redis://{}", listener.local_addr().unwrap());
    let store = Store::open(&url).await.unwrap();
    let answer = tokio::time::timeout(Duration::from_secs(20), store.get("churn", b"a", NOW)).await;
    assert!(matches!(answer, Ok(Err(OnlineError::Unavailable { .. }))));
}

/// TLS is compiled in and finds a crypto provider: what fails is the handshake with a server that speaks none.
#[tokio::test]
async fn tls_is_spoken() {
    let plain = redis_url();
    let url = format!("rediss{}", plain.strip_prefix("redis").unwrap());
    let store = Store::open(&url).await.unwrap();
    let error = store.check().await.unwrap_err();
    assert!(matches!(error, OnlineError::Unavailable { .. } | OnlineError::Storage { .. }), "{error}");
}

#[tokio::test]
async fn a_value_of_somebody_else_is_corrupt() {
    let url = redis_url();
    let store = Store::open(&url).await.unwrap();
    publish(&store, "churn", "monday", pairs(0..1, "a")).await;
    let (server, prefix) = url.split_once("?prefix=").unwrap();
    let mut connection =
        redis::Client::open(server).unwrap().get_multiplexed_async_connection().await.unwrap();
    let key = format!("{prefix}:online:active:churn");
    redis::cmd("HSET").arg(&key).arg("k0").arg("x").exec_async(&mut connection).await.unwrap();
    let error = store.get("churn", b"k0", NOW).await.unwrap_err();
    assert!(matches!(error, OnlineError::Corrupt { .. }), "{error}");
    assert!(error.to_string().contains(&key), "{error}");
}
