"""One settle by DuckDB or Polars, in a process of its own: NAME PREDICTIONS OUTCOMES UNTIL_US, then one line of JSON.

Both read the Parquet files of the two Delta tables and do what a settle does: the newest outcome of each prediction, the
value model, the weight of the propensity, sums by release, variant, split and day. They write nothing.
"""

import json
import resource
import sys
import time

VALUE = "CASE WHEN decision = 'call' THEN coalesce(outcome, 0) * 0.0246333 * 0.25 * greatest(features.balance, 0) - 5 ELSE 0 END"


def duckdb(predictions, outcomes, until):
    import duckdb

    connection = duckdb.connect()
    connection.execute("SET threads = 2")
    rows = connection.execute(
        f"""
        WITH newest AS (
            SELECT prediction_id, arg_max(value, (segment, position)) AS outcome
            FROM read_parquet('{outcomes}/*.parquet') WHERE name = 'subscribed' GROUP BY prediction_id),
        valued AS (
            SELECT release, variant, day, champion_propensity AS p, champion_decision, coalesce(outcome, 0) > 0 AS positive,
                CAST(round(100 * ({VALUE})) AS BIGINT) AS minor
            FROM read_parquet('{predictions}/*.parquet') LEFT JOIN newest ON prediction_id = id
            WHERE variant <> 'shadow' AND at_us < {until}),
        earned AS (
            SELECT *, CASE WHEN champion_decision = 'call' THEN 0 WHEN variant = 'champion' THEN minor
                ELSE -minor * p / (1 - p) END AS earned FROM valued)
        SELECT variant, day, count(*), sum(positive::INT), sum(minor), sum(earned), sum(earned * earned)
        FROM earned GROUP BY release, variant, round(100 * p), day ORDER BY ALL
        """
    ).fetchall()
    return [[row[0], row[1], *(float(value) for value in row[2:])] for row in rows]


def polars(predictions, outcomes, until):
    import polars as pl

    newest = (
        pl.scan_parquet(f"{outcomes}/*.parquet")
        .filter(pl.col("name") == "subscribed")
        .group_by("prediction_id")
        .agg(pl.col("value").sort_by("segment", "position").last().alias("outcome"))
    )
    outcome, p = pl.col("outcome").fill_null(0), pl.col("champion_propensity")
    worth = outcome * 0.0246333 * 0.25 * pl.max_horizontal(pl.col("features").struct.field("balance"), 0) - 5
    minor = (100 * pl.when(pl.col("decision") == "call").then(worth).otherwise(0)).round().cast(pl.Int64)
    earned = (
        pl.when(pl.col("champion_decision") == "call")
        .then(0)
        .when(pl.col("variant") == "champion")
        .then(pl.col("minor"))
        .otherwise(-pl.col("minor") * p / (1 - p))
    )
    rows = (
        pl.scan_parquet(f"{predictions}/*.parquet")
        .filter((pl.col("variant") != "shadow") & (pl.col("at_us") < until))
        .join(newest, left_on="id", right_on="prediction_id", how="left")
        .select("release", "variant", "day", "champion_decision", p, (outcome > 0).alias("positive"), minor.alias("minor"))
        .with_columns(earned.cast(pl.Float64).alias("earned"), (100 * p).round().alias("percent"))
        .group_by("release", "variant", "percent", "day")
        .agg(
            pl.len(),
            pl.col("positive").sum(),
            pl.col("minor").sum(),
            pl.col("earned").sum(),
            (pl.col("earned") ** 2).sum().alias("squares"),
        )
        .sort("variant", "day")
        .collect(engine="streaming")
    )
    return [[row[1], row[3], *(float(value) for value in row[4:])] for row in rows.iter_rows()]


def main():
    name, predictions, outcomes, until = sys.argv[1:]
    used = resource.getrusage(resource.RUSAGE_SELF)
    spent = used.ru_utime + used.ru_stime
    began = time.monotonic()
    rows = {"duckdb": duckdb, "polars": polars}[name](predictions, outcomes, int(until))
    wall = time.monotonic() - began
    used = resource.getrusage(resource.RUSAGE_SELF)
    figures = {"wall_s": wall, "cpu_s": used.ru_utime + used.ru_stime - spent, "peak_mib": used.ru_maxrss / 1024}
    print(json.dumps(figures | {"rows": rows}))


if __name__ == "__main__":
    main()
