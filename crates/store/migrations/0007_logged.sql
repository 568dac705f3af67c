create table logged_dataset (
    number bigint primary key,
    experiment_id bigint not null,
    name text not null,
    digest text not null,
    source_type text not null,
    source text not null,
    schema text not null,
    profile text not null,
    unique (experiment_id, name, digest)
);

create table run_input (
    number bigint primary key,
    run bigint not null,
    dataset bigint not null,
    unique (run, dataset)
);

create index run_input_by_dataset on run_input (dataset);

create table run_input_tag (
    owner bigint not null,
    key text not null,
    value text not null,
    primary key (owner, key)
) /* clustered */;

create table logged_model (
    number bigint primary key,
    id text not null unique,
    experiment_id bigint not null references experiment (id),
    name text not null,
    status bigint not null,
    model_type text not null,
    source_run_id text not null,
    created_at bigint not null,
    updated_at bigint not null,
    created_by text not null,
    deleted_at bigint
);

create index logged_model_by_experiment on logged_model (experiment_id, created_at desc, id);
create index logged_model_by_run on logged_model (source_run_id);

create table logged_model_tag (
    owner bigint not null,
    key text not null,
    value text not null,
    primary key (owner, key)
) /* clustered */;

create table logged_model_param (
    owner bigint not null,
    key text not null,
    value text not null,
    primary key (owner, key)
) /* clustered */;

create table logged_model_metric (
    model bigint not null,
    key text not null,
    run_id text not null,
    step bigint not null,
    at_ms bigint not null,
    dataset_name text not null,
    dataset_digest text not null,
    value double precision not null,
    is_nan bigint not null,
    primary key (model, key, run_id, step, at_ms, dataset_name, dataset_digest, value, is_nan)
) /* clustered */;

create table run_model (
    run bigint not null,
    is_output bigint not null,
    model_id text not null,
    step bigint not null,
    primary key (run, is_output, model_id)
) /* clustered */;

create index run_model_by_model on run_model (model_id, is_output);

insert into counter (name, value) values ('logged_dataset', 0), ('run_input', 0), ('logged_model', 0);
