-- one row per (day of the first exposure, variant): users; variant is null for users seen in two
-- reads: exposures, unit_variants (variant); parameters: experiment, look_at
with users as (
    select
        e.user_id,
        min(e.exposed_at) as exposed_at,
        case when min(e.variant) = max(e.variant) then min(e.variant) end as variant
    from exposures as e
    inner join unit_variants as v on e.variant = v.variant
    where e.experiment = $experiment and e.exposed_at <= $look_at
    group by e.user_id
)

select
    cast(exposed_at as date) as exposed_on,
    variant,
    count(*) as users
from users
group by cast(exposed_at as date), variant
order by exposed_on, variant
