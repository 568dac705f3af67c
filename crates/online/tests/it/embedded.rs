//! What only the folder promises: it opens again as it was, has one owner, and gives the disk back.

use crate::{NOW, embedded_url, pairs, publish, purge_all, text};
use greenlight_online::{OnlineError, Store};
use std::path::{Path, PathBuf};

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder.join("online/generations")).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[tokio::test]
async fn a_folder_opens_again_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&embedded_url(&folder)).await.unwrap();
    publish(&store, "churn", "monday", pairs(0..5, "a")).await;
    store.upsert("churn", pairs(5..6, "b"), None, NOW).await.unwrap();
    let mut load = store.begin("churn", "tuesday", None).await.unwrap();
    load.put(1, pairs(0..1, "c")).await.unwrap();
    let before = store.tables().await.unwrap();
    drop((store, load));
    let store = Store::open(&embedded_url(&folder)).await.unwrap();
    assert_eq!(store.tables().await.unwrap(), before);
    assert_eq!(text(&store, "churn", "k5", NOW).await.as_deref(), Some("b"));
    let mut load = store.begin("churn", "tuesday", None).await.unwrap();
    assert_eq!(load.resume(), 1);
    load.publish(NOW).await.unwrap();
    assert_eq!(text(&store, "churn", "k0", NOW).await.as_deref(), Some("c"));
}

#[tokio::test]
async fn a_folder_has_one_owner() {
    let folder = tempfile::tempdir().unwrap();
    let owner = Store::open(&embedded_url(&folder)).await.unwrap();
    let error = Store::open(&embedded_url(&folder)).await.unwrap_err();
    assert!(matches!(error, OnlineError::Unavailable { .. }));
    assert!(error.to_string().contains("another process has the folder open; stop it"), "{error}");
    drop(owner);
    Store::open(&embedded_url(&folder)).await.unwrap();
}

#[tokio::test]
async fn a_purge_gives_the_disk_back() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&embedded_url(&folder)).await.unwrap();
    for generation in ["one", "two", "three", "four", "five"] {
        publish(&store, "churn", generation, pairs(0..5, generation)).await;
    }
    assert_eq!(files(folder.path()).len(), 5);
    assert_eq!(purge_all(&store, NOW).await, (0, 4));
    assert_eq!(files(folder.path()).len(), 1);
    assert_eq!(text(&store, "churn", "k0", NOW).await.as_deref(), Some("five"));
}

#[tokio::test]
async fn a_lost_or_damaged_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&embedded_url(&folder)).await.unwrap();
    publish(&store, "churn", "monday", pairs(0..5, "a")).await;
    drop(store);
    let file = files(folder.path()).remove(0);
    std::fs::write(&file, vec![0; 8_192]).unwrap();
    let damaged = Store::open(&embedded_url(&folder)).await.unwrap_err().to_string();
    assert!(damaged.contains(file.file_name().unwrap().to_str().unwrap()), "{damaged}");
    std::fs::remove_file(&file).unwrap();
    let error = Store::open(&embedded_url(&folder)).await.unwrap_err();
    assert!(matches!(error, OnlineError::Corrupt { .. }), "{error}");
}

#[tokio::test]
async fn other_urls_are_refused_without_showing_them() {
    for url in ["", "embedded:", "memcached://user:secret@host"] {
        let error = Store::open(url).await.unwrap_err();
        assert!(matches!(error, OnlineError::Invalid(_)));
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}
