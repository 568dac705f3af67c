create table registered_model (
    number bigint primary key,
    name text not null unique,
    description text not null,
    created_at bigint not null,
    updated_at bigint not null,
    created_by text not null
);

create table registered_model_tag (
    owner bigint not null,
    key text not null,
    value text not null,
    primary key (owner, key)
) /* clustered */;

create table registered_version (
    number bigint primary key,
    model bigint not null references registered_model (number),
    version bigint not null,
    stage text not null,
    description text,
    source text not null,
    storage_location text not null,
    run_id text,
    run_link text,
    created_at bigint not null,
    updated_at bigint not null,
    created_by text not null,
    deleted_at bigint,
    unique (model, version)
);

create index registered_version_by_update on registered_version (updated_at desc);
create index registered_version_by_run on registered_version (run_id);

create table registered_version_tag (
    owner bigint not null,
    key text not null,
    value text not null,
    primary key (owner, key)
) /* clustered */;

create table registered_alias (
    model bigint not null,
    alias text not null,
    version bigint not null,
    primary key (model, alias)
) /* clustered */;

insert into counter (name, value) values ('registered_model', 0), ('registered_version', 0);
