create table meta (
    key text primary key,
    value text not null
);

create table token (
    id text primary key,
    name text not null,
    role text not null,
    secret_hash text not null unique,
    created_at bigint not null,
    created_by text not null,
    revoked_at bigint
);

create table audit (
    id text primary key,
    at bigint not null,
    actor text not null,
    role text not null,
    action text not null,
    subject text not null,
    detail text not null
);

create index audit_by_subject on audit (subject, id);

create table initiative (
    name text primary key,
    spec text not null,
    created_at bigint not null,
    created_by text not null,
    updated_at bigint not null
);

create table business_case (
    name text primary key,
    initiative text not null references initiative (name),
    dated bigint not null,
    spec text not null,
    created_at bigint not null,
    created_by text not null
);

create table dataset_version (
    name text not null,
    version bigint not null,
    spec text not null,
    report text not null,
    created_at bigint not null,
    created_by text not null,
    primary key (name, version)
);

create table policy_version (
    name text not null,
    version bigint not null,
    spec text not null,
    created_at bigint not null,
    created_by text not null,
    primary key (name, version)
);

create table endpoint (
    name text primary key,
    initiative text not null references initiative (name),
    spec text not null,
    created_at bigint not null,
    created_by text not null,
    settled_until bigint not null,
    watermark bigint not null,
    settle_run bigint not null,
    outcome_segment bigint not null,
    cost_until bigint not null,
    pending_run bigint not null,
    pending_until bigint not null,
    pending_segment bigint not null
);

create table training (
    name text primary key,
    spec text not null,
    created_at bigint not null,
    created_by text not null,
    updated_at bigint not null
);

create table run (
    id text primary key,
    experiment text not null,
    name text not null,
    status text not null,
    initiative text not null,
    dataset text not null,
    code_version text not null,
    author text not null,
    started_at bigint not null,
    ended_at bigint
);

create index run_by_experiment on run (experiment, started_at);

create table run_param (
    run_id text not null references run (id),
    key text not null,
    value text not null,
    primary key (run_id, key)
);

create table run_metric (
    run_id text not null references run (id),
    key text not null,
    value double precision not null,
    at bigint not null,
    primary key (run_id, key)
);

create table model_version (
    name text not null,
    version bigint not null,
    run_id text not null references run (id),
    spec text not null,
    created_at bigint not null,
    primary key (name, version)
);

create table release (
    id text primary key,
    endpoint text not null references endpoint (name),
    number bigint not null,
    model text not null,
    model_version bigint not null,
    policy text not null,
    author text not null,
    stage text not null,
    step bigint not null,
    step_since bigint,
    reason text,
    submitted_at bigint not null,
    unique (endpoint, number)
);

create table evidence (
    id text primary key,
    release_id text not null references release (id),
    gate text not null,
    passed bigint not null,
    result text not null,
    digest text not null,
    at bigint not null,
    actor text not null
);

create index evidence_by_release on evidence (release_id, id);

create table approval (
    release_id text not null references release (id),
    actor text not null,
    approved bigint not null,
    comment text not null,
    at bigint not null,
    primary key (release_id, actor)
);

create table route (
    endpoint text not null references endpoint (name),
    version bigint not null,
    spec text not null,
    at bigint not null,
    actor text not null,
    reason text not null,
    primary key (endpoint, version)
);

create table day_statistic (
    endpoint text not null references endpoint (name),
    release_id text not null,
    variant text not null,
    champion_percent bigint not null,
    day bigint not null,
    units bigint not null,
    positives bigint not null,
    gross_minor bigint not null,
    randomised bigint not null,
    earned_sum double precision not null,
    earned_sum_squares double precision not null,
    errors bigint not null,
    primary key (endpoint, release_id, variant, champion_percent, day)
);

create table posting (
    id text primary key,
    endpoint text not null references endpoint (name),
    release_id text,
    variant text,
    day bigint not null,
    kind text not null,
    amount_minor bigint not null,
    currency text not null,
    grade text not null,
    settle_run bigint not null,
    at bigint not null
);

create index posting_by_endpoint on posting (endpoint, day, id);
