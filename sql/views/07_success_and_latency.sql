-- one row per (variant, bucket): share of answers that were no failure, and latency quantiles
-- reads: request_buckets, latency_buckets, marts.request_counts, marts.latency_histogram
-- yields: marts.success_and_latency
-- The quantile of the bucket's requests lies in the bin that holds the request of its rank. Inside
-- a bin nothing is known; `interpolated` spreads the requests evenly, as histogram_quantile does.
create view marts.success_and_latency as
with answers as (
    select
        experiment,
        bucket_start,
        variant,
        sum(requests) as requests,
        coalesce(
            sum(requests) filter (response_class in ('ok', 'failed') and not is_injected), 0
        ) as answered,
        coalesce(sum(requests) filter (response_class = 'failed' and not is_injected), 0) as failed
    from marts.request_counts
    group by experiment, bucket_start, variant
),

ranks as (
    select
        experiment,
        bucket_start,
        variant,
        above_ms,
        le_ms,
        requests,
        requests_at_most,
        quantile,
        quantile * max(requests_at_most) over (
            partition by experiment, bucket_start, variant, quantile
        ) as rank
    from marts.latency_histogram cross join (values (0.5), (0.9), (0.99)) as asked (quantile)
),

bins as (
    select
        experiment,
        bucket_start,
        variant,
        quantile,
        min(above_ms) as lower_ms,
        min(le_ms) as upper_ms,
        arg_min(
            case
                when isfinite(le_ms)
                    then above_ms
                        + (le_ms - above_ms) * (rank - (requests_at_most - requests)) / requests
                else above_ms
            end,
            le_ms
        ) as interpolated_ms
    from ranks
    where rank > 0 and requests_at_most >= rank
    group by experiment, bucket_start, variant, quantile
),

quantiles as (
    select
        experiment,
        bucket_start,
        variant,
        max(lower_ms) filter (quantile = 0.5) as p50_lower_ms,
        max(upper_ms) filter (quantile = 0.5) as p50_upper_ms,
        max(interpolated_ms) filter (quantile = 0.5) as p50_interpolated_ms,
        max(lower_ms) filter (quantile = 0.9) as p90_lower_ms,
        max(upper_ms) filter (quantile = 0.9) as p90_upper_ms,
        max(interpolated_ms) filter (quantile = 0.9) as p90_interpolated_ms,
        max(lower_ms) filter (quantile = 0.99) as p99_lower_ms,
        max(upper_ms) filter (quantile = 0.99) as p99_upper_ms,
        max(interpolated_ms) filter (quantile = 0.99) as p99_interpolated_ms
    from bins
    group by experiment, bucket_start, variant
)

select
    answers.experiment,
    answers.bucket_start,
    answers.variant,
    answers.requests,
    answers.answered,
    answers.failed,
    1 - answers.failed / nullif(answers.answered, 0) as success_rate,
    quantiles.p50_lower_ms,
    quantiles.p50_upper_ms,
    quantiles.p50_interpolated_ms,
    quantiles.p90_lower_ms,
    quantiles.p90_upper_ms,
    quantiles.p90_interpolated_ms,
    quantiles.p99_lower_ms,
    quantiles.p99_upper_ms,
    quantiles.p99_interpolated_ms
from answers
left join quantiles
    on
        answers.experiment = quantiles.experiment
        and answers.bucket_start = quantiles.bucket_start
        and answers.variant = quantiles.variant;

comment on view marts.success_and_latency is
    'One row per experiment, variant and bucket that had requests: success rate and latency quantiles over time.';
comment on column marts.success_and_latency.experiment is 'Name of the experiment.';
comment on column marts.success_and_latency.bucket_start is
    'Start of the bucket (UTC): requests after it, up to and including its end.';
comment on column marts.success_and_latency.variant is 'Name of the variant, or unattributed.';
comment on column marts.success_and_latency.requests is 'All requests of the bucket.';
comment on column marts.success_and_latency.answered is
    'Requests that count for the success rate: not cancelled, no injected fault.';
comment on column marts.success_and_latency.failed is 'Those of the answered that failed.';
comment on column marts.success_and_latency.success_rate is
    '1 - failed / answered; null without answered requests. Over longer times, sum failed and answered first.';
comment on column marts.success_and_latency.p50_lower_ms is
    'The median of the bucket is above this edge, in milliseconds: exact.';
comment on column marts.success_and_latency.p50_upper_ms is
    'The median of the bucket is at most this edge, in milliseconds: exact; infinity if beyond the last edge.';
comment on column marts.success_and_latency.p50_interpolated_ms is
    'A label, not a measurement: the median if requests were spread evenly between the two edges.';
comment on column marts.success_and_latency.p90_lower_ms is
    'The 90th percentile of the bucket is above this edge, in milliseconds: exact.';
comment on column marts.success_and_latency.p90_upper_ms is
    'The 90th percentile of the bucket is at most this edge, in milliseconds: exact; infinity if beyond the last edge.';
comment on column marts.success_and_latency.p90_interpolated_ms is
    'A label, not a measurement: the 90th percentile if requests were spread evenly between the two edges.';
comment on column marts.success_and_latency.p99_lower_ms is
    'The 99th percentile of the bucket is above this edge, in milliseconds: exact.';
comment on column marts.success_and_latency.p99_upper_ms is
    'The 99th percentile of the bucket is at most this edge, in milliseconds: exact; infinity if beyond the last edge.';
comment on column marts.success_and_latency.p99_interpolated_ms is
    'A label, not a measurement: the 99th percentile if requests were spread evenly between the two edges.';
