create table counter (
    name text primary key,
    value bigint not null
);

create table experiment (
    id bigint primary key,
    name text not null unique,
    artifact_location text not null,
    deleted_at bigint,
    created_at bigint not null,
    updated_at bigint not null,
    created_by text not null
);

create table experiment_tag (
    experiment_id bigint not null references experiment (id),
    key text not null,
    value text not null,
    primary key (experiment_id, key)
);

insert into experiment (id, name, artifact_location, created_at, updated_at, created_by)
values (0, 'Default', 'mlflow-artifacts:/0', 0, 0, 'greenlight');

insert into experiment (id, name, artifact_location, created_at, updated_at, created_by)
select row_number() over (order by experiment), experiment,
       'mlflow-artifacts:/' || row_number() over (order by experiment), min(started_at), max(started_at), min(author)
from run where experiment <> 'Default' group by experiment;

drop index run_by_experiment;
alter table run add column number bigint not null default 0;
alter table run add column experiment_id bigint not null default 0;
alter table run add column deleted_at bigint;
update run set
    number = (select count(*) from run as other where other.id <= run.id),
    experiment_id = (select experiment.id from experiment where experiment.name = run.experiment);
alter table run drop column experiment;
create unique index run_by_number on run (number);
create index run_by_experiment on run (experiment_id, started_at desc, id);

create table run_tag (
    run bigint not null,
    key text not null,
    value text not null,
    primary key (run, key)
) /* clustered */;

create table param (
    run bigint not null,
    key text not null,
    value text not null,
    primary key (run, key)
) /* clustered */;

insert into param (run, key, value)
select run.number, run_param.key, run_param.value from run_param join run on run.id = run_param.run_id;
drop table run_param;

create table metric (
    run bigint not null,
    key text not null,
    step bigint not null,
    at_ms bigint not null,
    value double precision not null,
    is_nan bigint not null,
    primary key (run, key, step, at_ms, value, is_nan)
) /* clustered */;

create table latest_metric (
    run bigint not null,
    key text not null,
    experiment_id bigint not null,
    step bigint not null,
    at_ms bigint not null,
    value double precision not null,
    is_nan bigint not null,
    primary key (run, key)
) /* clustered */;

create index latest_metric_by_value on latest_metric (experiment_id, key, value, run);

insert into metric (run, key, step, at_ms, value, is_nan)
select run.number, run_metric.key, 0, run_metric.at / 1000, run_metric.value, 0
from run_metric join run on run.id = run_metric.run_id;

insert into latest_metric (run, key, experiment_id, step, at_ms, value, is_nan)
select run.number, run_metric.key, run.experiment_id, 0, run_metric.at / 1000, run_metric.value, 0
from run_metric join run on run.id = run_metric.run_id;
drop table run_metric;

insert into counter (name, value) values
    ('experiment', (select max(id) from experiment)),
    ('run', (select coalesce(max(number), 0) from run));
