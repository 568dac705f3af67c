//! Connecting, migrating, beginning transactions.

use std::borrow::Cow;
use std::str::FromStr;
use std::time::Duration;

use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{Any, AnyPool, AssertSqlSafe, Executor, SqlSafeStr};

use crate::StoreError;

/// A connection, in a transaction or not.
pub type Connection = sqlx::AnyConnection;

/// A transaction; it rolls back when it is dropped without a commit.
pub type Transaction = sqlx::Transaction<'static, Any>;

/// A pool of connections to one database.
#[derive(Debug, Clone)]
pub struct Store {
    pool: AnyPool,
    is_sqlite: bool,
}

const CONNECTIONS: u32 = 8;
const WAIT: Duration = Duration::from_secs(10);

/// `synchronous = full`: a change that was answered survives a power cut, not only a killed process. LIKE tells upper from
/// lower case, as it does in PostgreSQL.
const SQLITE_SETTINGS: &str = "pragma journal_mode = wal; pragma synchronous = full; pragma foreign_keys = on; \
                               pragma busy_timeout = 10000; pragma case_sensitive_like = on;";

impl Store {
    /// Connects to `sqlite:PATH` (created when absent) or `postgres://…` and brings the schema up to date.
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        sqlx::any::install_default_drivers();
        let sqlite = url.starts_with("sqlite:");
        if !sqlite && !url.starts_with("postgres:") && !url.starts_with("postgresql:") {
            return Err(StoreError::Url(url.chars().take(40).collect()));
        }
        let url = if sqlite && !url.contains("mode=") {
            Cow::from(format!("{url}?mode=rwc"))
        } else {
            Cow::from(url)
        };
        let options = AnyConnectOptions::from_str(&url).map_err(StoreError::Database)?;
        let pool = AnyPoolOptions::new()
            .max_connections(CONNECTIONS)
            .acquire_timeout(WAIT)
            // A file does not go away as a server does; asking first would cost each call a trip to the connection's thread.
            .test_before_acquire(!sqlite)
            .after_connect(move |connection, _| {
                Box::pin(async move {
                    if sqlite {
                        connection.execute(SQLITE_SETTINGS).await?;
                    }
                    Ok(())
                })
            })
            .connect_with(options)
            .await?;
        migrator(sqlite).run(&pool).await?;
        Ok(Self { pool, is_sqlite: sqlite })
    }

    /// For a change that is one statement: the connections, and whether they speak SQLite.
    pub(crate) fn alone(&self) -> (&AnyPool, bool) {
        (&self.pool, self.is_sqlite)
    }

    /// Begins a transaction that may write.
    pub async fn begin(&self) -> Result<Transaction, StoreError> {
        // SQLite: take the write lock at once, so that two writers queue instead of failing half-way.
        let begin = if self.is_sqlite { "begin immediate" } else { "begin" };
        Ok(self.pool.begin_with(begin).await?)
    }

    /// A connection for reading.
    pub async fn read(&self) -> Result<sqlx::pool::PoolConnection<Any>, StoreError> {
        Ok(self.pool.acquire().await?)
    }

    /// Closes all connections; SQLite folds its write-ahead log into the file.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

/// The schema, step by step. SQLite keeps the tables that say so in the order of their key; PostgreSQL has no such tables.
fn migrator(sqlite: bool) -> Migrator {
    let step = |version, name: &'static str, text: &'static str| {
        let text = if sqlite { text.replace("/* clustered */", "without rowid") } else { text.to_owned() };
        let text = AssertSqlSafe(text).into_sql_str();
        Migration::new(version, Cow::from(name), MigrationType::Simple, text, false)
    };
    let mut steps = vec![
        step(1, "first lap", include_str!("../migrations/0001_first_lap.sql")),
        step(4, "token rate", include_str!("../migrations/0004_token_rate.sql")),
        step(5, "tracking", include_str!("../migrations/0005_tracking.sql")),
        step(6, "registry", include_str!("../migrations/0006_registry.sql")),
        step(7, "logged", include_str!("../migrations/0007_logged.sql")),
        step(8, "webhook", include_str!("../migrations/0008_webhook.sql")),
        step(9, "lineage", include_str!("../migrations/0009_lineage.sql")),
        step(10, "hypothesis", include_str!("../migrations/0010_hypothesis.sql")),
        step(11, "garbage", include_str!("../migrations/0011_garbage.sql")),
        step(12, "servable", include_str!("../migrations/0012_servable.sql")),
    ];
    if sqlite {
        steps.push(step(13, "logged point", include_str!("../migrations/0013_logged_point.sql")));
    }
    steps.push(step(14, "earned micros", include_str!("../migrations/0014_earned_micros.sql")));
    steps.push(step(15, "runs without intent", include_str!("../migrations/0015_runs_without_intent.sql")));
    steps.push(step(16, "value versions", include_str!("../migrations/0016_value_versions.sql")));
    Migrator { migrations: Cow::from(steps), ..Migrator::DEFAULT }
}
