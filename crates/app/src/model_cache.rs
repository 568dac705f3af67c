//! Loaded models by the SHA-256 of their artifact, shared by everything that asks them, within a bound of memory.
//!
//! Owns when a model is read from its artifact and when it is dropped: a model that a route (or a gate, or a request)
//! holds stays; the others are kept for a roll-back until their room is needed, and the one that was asked for
//! longest ago goes first. It refuses to take a routed model away to make room: a share of the traffic would then be
//! decided by the holdout rule, and the propensities that were logged would be wrong.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::Mutex as AsyncMutex;

use crate::AppError;
use crate::runtime::Model;

/// Loaded models within a bound.
pub struct ModelCache {
    bound_bytes: usize,
    held: Mutex<Held>,
    /// One load at a time: two that ask for one model load it once, and at most one model is above the bound while it
    /// is measured.
    loading: AsyncMutex<()>,
    count: Gauge,
    memory: Gauge,
}

#[derive(Default)]
struct Held {
    models: HashMap<String, Entry>,
    /// Raised whenever a model is asked for.
    asked: u64,
}

struct Entry {
    model: Arc<dyn Model>,
    bytes: usize,
    last_asked: u64,
}

impl Entry {
    /// Whether anything but the cache holds it. Clones are made under the cache's lock or from one that counts already.
    fn used(&self) -> bool {
        Arc::strong_count(&self.model) > 1
    }
}

impl ModelCache {
    /// An empty cache of at most `bound_bytes`, which tells `count` and `memory` what it holds.
    pub fn new(bound_bytes: usize, count: Gauge, memory: Gauge) -> Self {
        Self { bound_bytes, held: Mutex::default(), loading: AsyncMutex::default(), count, memory }
    }

    /// The model of that artifact: the loaded one, or what `load` yields.
    pub async fn get(
        &self,
        sha256: &str,
        load: impl Future<Output = Result<Arc<dyn Model>, AppError>>,
    ) -> Result<Arc<dyn Model>, AppError> {
        if let Some(model) = self.loaded(sha256) {
            return Ok(model);
        }
        let _one_at_a_time = self.loading.lock().await;
        if let Some(model) = self.loaded(sha256) {
            return Ok(model);
        }
        let model = load.await?;
        self.keep(sha256, Arc::clone(&model))?;
        Ok(model)
    }

    fn loaded(&self, sha256: &str) -> Option<Arc<dyn Model>> {
        let held = &mut *self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.asked += 1;
        let entry = held.models.get_mut(sha256)?;
        entry.last_asked = held.asked;
        Some(Arc::clone(&entry.model))
    }

    /// Keeps a freshly loaded model, dropping what nothing uses until it fits.
    fn keep(&self, sha256: &str, model: Arc<dyn Model>) -> Result<(), AppError> {
        let bytes = model.memory_bytes();
        let held = &mut *self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let used: usize = held.models.values().filter(|e| e.used()).map(|e| e.bytes).sum();
        if used.saturating_add(bytes) > self.bound_bytes {
            return Err(AppError::Conflict(format!(
                "the model takes {} and models in use take {} of {}; end a release that needs one of them, or start the server with a larger --model-memory",
                mebibytes(bytes),
                mebibytes(used),
                mebibytes(self.bound_bytes)
            )));
        }
        let mut total: usize = held.models.values().map(|e| e.bytes).sum();
        while total + bytes > self.bound_bytes {
            let unused = held.models.iter().filter(|(_, entry)| !entry.used());
            let Some(oldest) = unused.min_by_key(|(_, e)| e.last_asked).map(|(key, _)| key.clone()) else {
                break;
            };
            total -= held.models.remove(&oldest).map_or(0, |entry| entry.bytes);
            tracing::info!(artifact = %oldest, "a model that nothing uses made room for another");
        }
        held.asked += 1;
        held.models.insert(sha256.to_owned(), Entry { model, bytes, last_asked: held.asked });
        self.count.set(i64::try_from(held.models.len()).unwrap_or(i64::MAX));
        self.memory.set(i64::try_from(total + bytes).unwrap_or(i64::MAX));
        Ok(())
    }
}

impl std::fmt::Debug for ModelCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ModelCache").field("bound_bytes", &self.bound_bytes).finish_non_exhaustive()
    }
}

fn mebibytes(bytes: usize) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use greenlight_domain::frame::{Field, Frame};
    use greenlight_domain::model::Signature;

    use super::*;
    use crate::runtime::RuntimeError;

    struct Sized(usize, Signature);

    impl Model for Sized {
        fn signature(&self) -> &Signature {
            &self.1
        }
        fn score(&self, _: &Frame) -> Result<Vec<f64>, RuntimeError> {
            Ok(vec![])
        }
        fn flavor(&self) -> &'static str {
            "sized"
        }
        fn memory_bytes(&self) -> usize {
            self.0
        }
    }

    struct World {
        cache: ModelCache,
        loads: AtomicUsize,
    }

    impl World {
        fn new(bound: usize) -> Self {
            let cache = ModelCache::new(bound, Gauge::default(), Gauge::default());
            Self { cache, loads: AtomicUsize::new(0) }
        }

        async fn get(&self, name: &str, bytes: usize) -> Result<Arc<dyn Model>, AppError> {
            let load = async {
                self.loads.fetch_add(1, Ordering::SeqCst);
                tokio::task::yield_now().await;
                let nothing: Arc<[Field]> = Arc::new([]);
                let signature = Signature { inputs: Arc::clone(&nothing), outputs: nothing };
                Ok(Arc::new(Sized(bytes, signature)) as Arc<dyn Model>)
            };
            self.cache.get(name, load).await
        }

        fn loads(&self) -> usize {
            self.loads.load(Ordering::SeqCst)
        }
    }

    #[tokio::test]
    async fn a_model_is_loaded_once_however_many_ask_at_once() {
        let world = World::new(100);
        let (one, two) = tokio::join!(world.get("a", 10), world.get("a", 10));
        assert!(Arc::ptr_eq(&one.unwrap(), &two.unwrap()));
        assert!(world.get("a", 10).await.is_ok());
        assert_eq!((world.loads(), world.cache.memory.get(), world.cache.count.get()), (1, 10, 1));
    }

    #[tokio::test]
    async fn the_unused_model_that_was_asked_for_longest_ago_makes_room() {
        let world = World::new(100);
        let used = world.get("used", 40).await.unwrap();
        world.get("old", 30).await.unwrap();
        world.get("new", 30).await.unwrap();
        world.get("old", 30).await.unwrap();
        world.get("next", 30).await.unwrap();
        assert_eq!((world.loads(), world.cache.memory.get(), world.cache.count.get()), (4, 100, 3));
        world.get("used", 40).await.unwrap();
        world.get("old", 30).await.unwrap();
        assert_eq!(world.loads(), 4, "'new' went, not 'old', which was asked for again");
        world.get("new", 30).await.unwrap();
        assert_eq!(world.loads(), 5);
        drop(used);
    }

    #[tokio::test]
    async fn models_in_use_are_never_dropped_and_the_next_one_is_refused() {
        let world = World::new(100);
        let one = world.get("one", 60).await.unwrap();
        let refused = world.get("two", 50).await.err().unwrap();
        assert_eq!(refused.kind(), crate::Kind::Conflict);
        assert!(refused.to_string().contains("--model-memory"), "{refused}");
        assert_eq!(world.cache.count.get(), 1);
        drop(one);
        world.get("two", 50).await.unwrap();
        assert_eq!((world.cache.count.get(), world.cache.memory.get()), (1, 50));
    }

    #[tokio::test]
    async fn a_load_that_fails_is_tried_again() {
        let world = World::new(100);
        let failed = async { Err(AppError::Unavailable("no disk".to_owned())) };
        assert!(world.cache.get("a", failed).await.is_err());
        assert!(world.get("a", 10).await.is_ok());
        assert_eq!(world.cache.count.get(), 1);
    }
}
