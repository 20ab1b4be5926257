-- one row per (variant, cohort, bucket, route, outcome, code, gRPC status, flags) that had requests
-- reads: incoming_sums, incoming_series; writes: request_buckets
-- parameters: experiment
insert into request_buckets
    (experiment, window_start, bucket_start, variant, cohort, route, outcome,
    response_code, grpc_status, response_flags, requests)
select
    $experiment as experiment,
    sums.window_start,
    sums.bucket_start,
    series.variant,
    series.cohort,
    series.route,
    series.outcome,
    series.response_code,
    series.grpc_status,
    series.response_flags,
    cast(sums.delta as bigint) as requests
from incoming_sums as sums
inner join incoming_series as series on sums.series_id = series.series_id
where series.role = 'requests' and sums.delta > 0
