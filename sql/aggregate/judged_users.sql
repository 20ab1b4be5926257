-- at most one row: the first verdict on the users of a plan, and the checksum of their rows
-- reads: judged_users; parameters: experiment, plan_start
select
    judged_at,
    decision,
    users
from judged_users
where experiment = $experiment and plan_start = $plan_start
