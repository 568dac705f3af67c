alter table dataset_version add column record text;
alter table dataset_version add column source text not null default '';
alter table dataset_version add column digest text not null default '';
alter table dataset_version add column run_id text not null default '';

create index dataset_version_by_source on dataset_version (source);
create index dataset_version_by_run on dataset_version (run_id);
create index dataset_version_by_reference on dataset_version ((name || '@' || cast(version as text)));
create index dataset_version_by_update on dataset_version (created_at desc, name, version);

alter table logged_dataset add column place text not null default '';

create index logged_dataset_by_name on logged_dataset (name, digest);
create index logged_dataset_by_reference on logged_dataset ((name || '#' || digest));
create index logged_dataset_by_place on logged_dataset (place);

create index run_by_dataset on run (dataset, initiative) where dataset <> '';
create index run_by_initiative on run (initiative) where initiative <> '';
create index model_version_by_run on model_version (run_id);
create index model_version_by_reference on model_version ((name || '@' || cast(version as text)));
create index release_by_model on release ((model || '@' || cast(model_version as text)));
create index registered_version_by_source on registered_version (source);

create table lineage_edge (
    job text not null,
    place text not null,
    is_output bigint not null,
    first_at bigint not null,
    last_at bigint not null,
    primary key (job, place, is_output)
) /* clustered */;

create index lineage_edge_by_place on lineage_edge (place, is_output);

create index run_by_end on run (ended_at, id) where ended_at is not null;
