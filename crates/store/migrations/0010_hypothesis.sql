create table hypothesis (
    number bigint primary key,
    spec text not null,
    initiative text not null,
    verdict text not null,
    words bigint not null,
    created_at bigint not null,
    created_by text not null,
    updated_at bigint not null
);

create index hypothesis_by_update on hypothesis (updated_at desc, number desc);
create index hypothesis_by_initiative on hypothesis (initiative, verdict);

create table hypothesis_event (
    hypothesis bigint not null references hypothesis (number),
    number bigint not null,
    finding text,
    reason text not null,
    at bigint not null,
    actor text not null,
    primary key (hypothesis, number)
);

create table hypothesis_word (
    word text not null,
    hypothesis bigint not null,
    count bigint not null,
    primary key (word, hypothesis)
) /* clustered */;

create index run_tag_by_hypothesis on run_tag (value, run) where key = 'greenlight.hypothesis' and length(value) <= 24;

insert into counter (name, value) values ('hypothesis', 0);
