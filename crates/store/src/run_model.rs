//! Which runs read and wrote which logged models.

use sqlx::AssertSqlSafe;

use crate::packed::Runs;
use crate::{Connection, StoreError, rows};

/// A logged model that a run wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelOutput {
    /// Its id.
    pub model_id: String,
    /// At which step.
    pub step: i64,
}

/// Says which models a run read. One that is known is not written again.
pub async fn log_inputs(connection: &mut Connection, run: i64, models: &[&str]) -> Result<(), StoreError> {
    for model in models {
        sqlx::query(
            "insert into run_model (run, is_output, model_id, step) values ($1, 0, $2, 0) on conflict do nothing",
        )
        .bind(run)
        .bind(*model)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

/// Says which models a run wrote. Fails with `Conflict` when it did so before.
pub async fn log_outputs(
    connection: &mut Connection,
    run: i64,
    models: &[ModelOutput],
) -> Result<(), StoreError> {
    for some in models.chunks(rows::AT_ONCE) {
        let text = format!(
            "insert into run_model (run, is_output, model_id, step) values {}",
            rows::placeholders(some.len(), 4)
        );
        let mut query = sqlx::query(AssertSqlSafe(text));
        for output in some {
            query = query.bind(run).bind(1_i64).bind(&output.model_id).bind(output.step);
        }
        query.execute(&mut *connection).await?;
    }
    Ok(())
}

/// Ids of the first `limit` models that a run read, by id.
pub async fn read_by(connection: &mut Connection, run: i64, limit: i64) -> Result<Vec<String>, StoreError> {
    let found: Vec<(String,)> = sqlx::query_as(
        "select model_id from run_model where run = $1 and is_output = 0 order by model_id limit $2",
    )
    .bind(run)
    .bind(limit)
    .fetch_all(connection)
    .await?;
    Ok(found.into_iter().map(|row| row.0).collect())
}

/// A run's number, whether it wrote the model or read it, and the model.
pub(crate) type Edge = (i64, bool, ModelOutput);

/// The models of these runs, by run and model.
pub(crate) async fn of_runs(connection: &mut Connection, runs: &Runs) -> Result<Vec<Edge>, StoreError> {
    let text = format!(
        "select run, is_output, model_id, step from run_model where run in ({runs}) order by run, is_output, model_id"
    );
    let found: Vec<(i64, i64, String, i64)> = runs.ask(text).fetch_all(connection).await?;
    Ok(found
        .into_iter()
        .map(|(run, is_output, model_id, step)| (run, is_output != 0, ModelOutput { model_id, step }))
        .collect())
}
