-- takes away all views of an earlier version, before those of sql/views/ are made
drop schema if exists marts cascade;
create schema marts;
