-- one row per user of an experiment as they were known at a time: variant, and first exposure
-- reads: exposures; parameters: experiment, variants (list), start (of the plan), look_at; filled in:
--   segments (those of the first exposure)
-- The first exposure wins; variant is null for a user seen in two.
select
    e.user_id,
    case when min(e.variant) = max(e.variant) then min(e.variant) end as variant,
    min(e.exposed_at) as exposed_at,
    cast(min(e.exposed_at) as date) as exposed_on,
    {segments} as segments
from exposures as e
where
    e.experiment = $experiment
    and list_contains($variants, e.variant)
    and e.exposed_at between $start and $look_at
group by e.user_id
