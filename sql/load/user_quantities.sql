-- makes the relation that says which quantities sql/load/final_values computes
-- yields: user_quantities, a temporary table; parameters: outcomes, counts, from_us, until_us,
--   middle_days (lists of equal length)
create or replace temporary table user_quantities as
select
    unnest(range(len($outcomes))) as quantity,
    unnest($outcomes) as outcome,
    unnest($counts) as counts,             -- 'happened', 'count', 'sum'
    cast(unnest($from_us) as bigint) as from_us,    -- from the first exposure on
    cast(unnest($until_us) as bigint) as until_us,
    cast(unnest($middle_days) as double) as middle_day  -- weighs by the distance to it, if not null
