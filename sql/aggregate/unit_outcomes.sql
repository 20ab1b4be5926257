-- one row per outcome that a metric asks for: rows up to a look, and those that can't count
-- reads: exposures, outcomes, unit_metrics (outcome), unit_variants (variant)
-- parameters: experiment, look_at
with first_exposures as (
    select
        e.user_id,
        min(e.exposed_at) as exposed_at
    from exposures as e
    inner join unit_variants as v on e.variant = v.variant
    where e.experiment = $experiment and e.exposed_at <= $look_at
    group by e.user_id
),

asked as (
    select distinct outcome
    from unit_metrics
)

select
    o.outcome,
    count(*) as outcomes,
    sum(case when o.occurred_at < f.exposed_at then 1 else 0 end) as before_exposure,
    sum(case when f.user_id is null then 1 else 0 end) as never_exposed
from outcomes as o
inner join asked as a on o.outcome = a.outcome
left join first_exposures as f on o.user_id = f.user_id
where o.experiment = $experiment and o.occurred_at <= $look_at
group by o.outcome
order by o.outcome
