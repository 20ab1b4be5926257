-- one row per target that started by a look, after what the plan's own warm-up covers: when
-- reads: target_times; parameters: experiment, until, warm_until (the plan's own warm-up ends then)
-- A target warms up once, after its first start that the plan's own warm-up doesn't cover: it was
-- replaced (reset, restart: 1 and 4), or is new and began inside the data (birth: 2). One that starts
-- again and again is no less a harm to users for that. A target that answers for several variants is
-- a gateway, whose starts are no version's.
with targets as (
    select
        target,
        min(ts) as first_ts,
        min(case when ts > $warm_until and reason in (1, 4) then ts end) as replaced,
        min(case when ts > $warm_until and reason = 2 then ts end) as born
    from target_times
    where experiment = $experiment and ts <= $until
    group by target
    having min(variant) = max(variant)
)

select
    target,
    epoch_ms(least(replaced, case when born = first_ts then born end)) as began_ms
from targets
where replaced is not null or born = first_ts
