-- makes the relation that says which variants sql/aggregate/user_* are to compare
-- yields: user_variants, a temporary table; parameters: variants (list)
create or replace temporary table user_variants as
select unnest($variants) as variant
