create table garbage (
    kind text not null,
    owner bigint not null,
    id text not null,
    place text not null,
    at bigint not null,
    primary key (kind, owner)
) /* clustered */;

create index run_by_deletion on run (number) where deleted_at is not null;
