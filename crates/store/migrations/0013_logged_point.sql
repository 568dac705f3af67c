-- SQLite only: one point of a metric is one statement, and so one trip to the thread of the connection instead of five.
-- PostgreSQL writes to both tables in one statement without this (metric.rs).

create view logged_point as
select run.id as run_id, metric.key, metric.step, metric.at_ms, metric.value, metric.is_nan
from metric join run on run.number = metric.run;

create trigger logged_point_added instead of insert on logged_point
begin
    select raise(abort, 'no active run')
    where not exists (select 1 from run where id = new.run_id and deleted_at is null);

    insert into metric (run, key, step, at_ms, value, is_nan)
    select number, new.key, new.step, new.at_ms, new.value, new.is_nan from run where id = new.run_id
    on conflict do nothing;

    insert into latest_metric (run, experiment_id, key, step, at_ms, value, is_nan)
    select number, experiment_id, new.key, new.step, new.at_ms, new.value, new.is_nan from run where id = new.run_id
    on conflict (run, key) do update set step = excluded.step, at_ms = excluded.at_ms,
        value = excluded.value, is_nan = excluded.is_nan
    where (excluded.step, excluded.at_ms, excluded.value)
        > (latest_metric.step, latest_metric.at_ms, latest_metric.value);
end;
