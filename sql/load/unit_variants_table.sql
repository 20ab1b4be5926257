-- makes the relation that says which variants sql/aggregate/unit_* are to compare
-- yields: unit_variants, a temporary table; parameters: variants (list)
create or replace temporary table unit_variants as
select unnest($variants) as variant
