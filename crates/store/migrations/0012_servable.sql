alter table model_version add column registered_name text;
alter table model_version add column registered_version bigint;
create index model_version_by_registered on model_version (registered_name, registered_version);
