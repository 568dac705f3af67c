create table webhook (
    id text primary key,
    name text not null,
    description text not null,
    url text not null,
    secret text not null,
    is_active bigint not null,
    created_at bigint not null,
    updated_at bigint not null,
    created_by text not null
);

create table webhook_event (
    webhook text not null references webhook (id),
    entity text not null,
    action text not null,
    primary key (webhook, entity, action)
);

create index webhook_event_by_event on webhook_event (entity, action);

create table webhook_delivery (
    id text primary key,
    webhook text not null references webhook (id),
    body text not null,
    attempts bigint not null,
    due_at bigint not null
);

create index webhook_delivery_by_due on webhook_delivery (due_at);
