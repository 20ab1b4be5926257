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
        sum(value) as total
    from outcomes
    where experiment = $experiment and outcome = $outcome
)

select
    $experiment,
    $outcome,
    $kind,
    case when $kind = 'count' then events else total end / users
from exposed cross join happened
where users > 0 and events > 0
