//! The injected clock. Nothing else in the house asks the machine for the time of day.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use greenlight_domain::time::Micros;

/// Where the time comes from.
#[derive(Debug, Clone)]
pub enum Clock {
    /// The machine's.
    System,
    /// A test's: stands still until it is set.
    Manual(Arc<AtomicI64>),
}

impl Clock {
    /// A clock that stands at `at`.
    pub fn standing_at(at: Micros) -> Self {
        Self::Manual(Arc::new(AtomicI64::new(at.0)))
    }

    /// The time of day.
    pub fn now(&self) -> Micros {
        match self {
            Self::System => Micros(system_now()),
            Self::Manual(at) => Micros(at.load(Ordering::SeqCst)),
        }
    }

    /// Sets a manual clock; does nothing to the machine's.
    pub fn set(&self, at: Micros) {
        if let Self::Manual(cell) = self {
            cell.store(at.0, Ordering::SeqCst);
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the machine's clock")]
fn system_now() -> i64 {
    jiff::Timestamp::now().as_microsecond()
}
