-- A settle run needs no note of what it set out to do: what it adds up depends on sealed events alone.

alter table endpoint drop column pending_run;
alter table endpoint drop column pending_until;
alter table endpoint drop column pending_segment;

-- Days of which something was erased on request or has been kept long enough: they cannot be computed anew.
create table erased_day (
    endpoint text not null references endpoint (name),
    first_day bigint not null,
    last_day bigint not null,
    primary key (endpoint, first_day, last_day)
);

alter table day_statistic add column value_sum_squares double precision not null default 0;
