-- makes what new parts of exposures say of users, beside what was known of them
-- reads: exposures, exposed_users; yields: fresh_users, a temporary table; parameters: experiment,
--   variants (list), parts (list), known_until (of the users so far), start (of the
--   plan), until; filled in: segments (those of the first exposure)
-- Rows of older parts that lay in the future then are new as well. They are read apart, as then only
-- what can have such rows is.
create or replace temporary table fresh_users as
with fresh_rows as (
    from exposures
    where experiment = $experiment and list_contains($parts, part)
    union all
    from exposures
    where experiment = $experiment and exposed_at > $known_until and not list_contains($parts, part)
),

fresh as (
    select
        e.user_id,
        min(e.variant) as least_variant,
        max(e.variant) as greatest_variant,
        min(e.exposed_at) as exposed_at,
        {segments} as segments
    from fresh_rows as e
    where list_contains($variants, e.variant) and e.exposed_at between $start and $until
    group by e.user_id
)

select
    f.user_id,
    u.user_id is not null as is_known,
    u.exposed_on as known_on,
    case
        when f.least_variant <> f.greatest_variant then null
        when u.user_id is null or u.variant = f.least_variant then f.least_variant
    end as variant,
    least(f.exposed_at, coalesce(u.exposed_at, f.exposed_at)) as exposed_at,
    case when u.exposed_at <= f.exposed_at then u.segments else f.segments end as segments,
    u.user_id is null
    or f.exposed_at < u.exposed_at
    or (u.variant is not null and (f.least_variant <> f.greatest_variant or f.least_variant <> u.variant))
        as is_changed
from fresh as f
left join exposed_users as u on f.user_id = u.user_id and u.experiment = $experiment
