-- Every value model that an initiative ever had. The newest is also in the initiative's specification.
create table value_version (
    initiative text not null references initiative (name),
    version bigint not null,
    spec text not null,
    created_at bigint not null,
    created_by text not null,
    primary key (initiative, version)
);

-- Which version values the predictions of an endpoint from an event time on, until the next row. Version 1 where nothing
-- is said.
create table value_period (
    endpoint text not null references endpoint (name),
    from_at bigint not null,
    version bigint not null,
    primary key (endpoint, from_at)
);

-- Settle runs that valued settled predictions again.
create table restatement (
    endpoint text not null references endpoint (name),
    settle_run bigint not null,
    version bigint not null,
    from_at bigint not null,
    until_at bigint not null,
    reason text not null,
    gross_change_minor bigint not null,
    incremental_change_minor bigint not null,
    created_at bigint not null,
    created_by text not null,
    primary key (endpoint, settle_run)
);

-- The value model that a release was judged by, and decides by.
alter table release add column value_version bigint not null default 1;
