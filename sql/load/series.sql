-- one row per series of the load
-- reads: incoming_series; writes: series; parameters: experiment
insert into series
    (experiment, series_id, metric, role, variant, cohort, target, route, outcome, response_code,
    grpc_status, response_flags, le_ms, labels)
select $experiment, series_id, metric, role, variant, cohort, target, route, outcome, response_code,
    grpc_status, response_flags, case when role = 'latency' then le_ms end, labels
from incoming_series
