-- one row per (signal, candidate) that was approved since a time: the harm that is allowed
-- reads: signal_approvals; parameters: experiment, since, until (instants, both included)
select
    metric,
    candidate,
    max(allowed) as allowed
from signal_approvals
where experiment = $experiment and approved_at >= $since and approved_at <= $until
group by metric, candidate
order by metric, candidate
