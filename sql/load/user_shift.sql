-- sets the shift of one outcome, the first time that there are users and outcomes
-- reads: exposures, outcomes; writes: user_shifts; parameters: experiment, outcome, kind
insert into user_shifts (experiment, outcome, kind, shift)
with exposed as (
    select count(distinct user_id) as users
    from exposures
    where experiment = $experiment
),

happened as (
    select
        count(*) as events,
        coalesce(sum(value), 0) as total
    from outcomes
    where experiment = $experiment and outcome = $outcome and value is distinct from 0
)

select
    $experiment,
    $outcome,
    $kind,
    case when $kind = 'count' then events else total end / users
from exposed cross join happened
where users > 0 and events > 0
