-- one approval of a signal
-- writes: signal_approvals; parameters: experiment, metric, candidate, approved_at, allowed, detail
insert into signal_approvals
values ($experiment, $metric, $candidate, $approved_at, $allowed, $detail)
