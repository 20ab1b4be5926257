-- makes the relation that says which outcomes sql/load/final_values reads, and by which numbers
-- yields: user_outcomes, a temporary table; parameters: outcomes (list)
create or replace temporary table user_outcomes as
select
    unnest(range(len($outcomes))) as number,
    unnest($outcomes) as outcome
