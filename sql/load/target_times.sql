-- one row per target, variant and window: its first sample, and those at which a counter began
-- reads: incoming_target_times; writes: target_times; parameters: experiment
insert into target_times
    (experiment, window_start, target, variant, ts, reason)
select $experiment, window_start, target, variant, ts, reason
from incoming_target_times
