alter table token add column rate_per_second bigint;
