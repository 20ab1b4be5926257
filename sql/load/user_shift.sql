-- sets the shift of one outcome, the first time that there are users and outcomes
-- reads: outcomes; writes: user_shifts; parameters: experiment, outcome, kind, users (with an exposure)
insert into user_shifts (experiment, outcome, kind, shift)
with happened as (
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
    case when $kind = 'count' then events else total end / $users
from happened
where $users > 0 and events > 0
