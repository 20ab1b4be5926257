-- one row per (variant, cohort, bucket, route, outcome, code, gRPC status, flags) that had requests
-- reads: incoming_samples, incoming_series; writes: request_buckets
-- parameters: experiment
insert into request_buckets
    (experiment, window_start, bucket_start, variant, cohort, route, outcome,
    response_code, grpc_status, response_flags, requests)
select
    $experiment as experiment,
    samples.window_start,
    samples.bucket_start,
    series.variant,
    series.cohort,
    series.route,
    series.outcome,
    series.response_code,
    series.grpc_status,
    series.response_flags,
    cast(sum(samples.delta) as bigint) as requests
from incoming_samples as samples
inner join incoming_series as series on samples.series_id = series.series_id
where series.role = 'requests' and samples.delta > 0
group by
    samples.window_start,
    samples.bucket_start,
    series.variant,
    series.cohort,
    series.route,
    series.outcome,
    series.response_code,
    series.grpc_status,
    series.response_flags
