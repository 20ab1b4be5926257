-- one row per user of an experiment as they were known at a time: variant, and first exposure
-- reads: exposures; parameters: experiment, variants (list), start (of the plan), look_at; filled in:
--   segments (those of the first exposure)
-- The first exposure wins; variant is null for a user seen in two. Places are compared sooner than names.
select
    e.user_id,
    case when min(e.place) = max(e.place) then $variants[min(e.place)] end as variant,
    min(e.exposed_at) as exposed_at,
    cast(min(e.exposed_at) as date) as exposed_on,
    {segments} as segments
from (
    select
        *,
        list_position($variants, variant) as place
    from exposures
    where
        experiment = $experiment
        and exposed_at between $start and $look_at
) as e
where e.place > 0
group by e.user_id
