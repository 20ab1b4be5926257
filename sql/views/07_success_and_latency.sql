-- one row per (variant, bucket): share of answers that were no failure, and latency quantiles
-- reads: request_buckets, latency_buckets, marts.request_counts, marts.latency_histogram
-- yields: marts.success_and_latency
-- The quantile of the bucket's requests lies in the bin that holds the request of its rank. Inside
-- a bin nothing is known; `interpolated` spreads the requests evenly, as histogram_quantile does.
create macro marts.interpolated_ms(bin, rank) as case
    when isfinite(bin.le_ms)
        then
            bin.above_ms
            + (bin.le_ms - bin.above_ms)
            * (rank - (bin.requests_at_most - bin.requests))
            / bin.requests
    else bin.above_ms
end;

create view marts.success_and_latency as
with answers as (
    select
        experiment,
        bucket_start,
        variant,
        cast(sum(requests) as bigint) as requests,
        cast(
            coalesce(
                sum(requests) filter (outcome not in ('abandoned', 'injected')), 0
            ) as bigint
        ) as answered,
        cast(
            coalesce(sum(requests) filter (outcome = 'failure'), 0)
            as bigint
        ) as failed
    from marts.request_counts
    group by experiment, bucket_start, variant
),

totals as (
    select
        experiment,
        bucket_start,
        variant,
        max(requests_at_most) as total
    from marts.latency_histogram
    group by experiment, bucket_start, variant
),

quantiles as (
    select
        bins.experiment,
        bins.bucket_start,
        bins.variant,
        totals.total,
        arg_min(bins, bins.le_ms) filter (bins.requests_at_most >= 0.5 * totals.total) as p50,
        arg_min(bins, bins.le_ms) filter (bins.requests_at_most >= 0.9 * totals.total) as p90,
        arg_min(bins, bins.le_ms) filter (bins.requests_at_most >= 0.99 * totals.total) as p99
    from marts.latency_histogram as bins
    inner join totals
        on
            bins.experiment = totals.experiment
            and bins.bucket_start = totals.bucket_start
            and bins.variant = totals.variant
    where totals.total > 0
    group by bins.experiment, bins.bucket_start, bins.variant, totals.total
)

select
    answers.experiment,
    answers.bucket_start,
    answers.variant,
    answers.requests,
    answers.answered,
    answers.failed,
    1 - answers.failed / nullif(answers.answered, 0) as success_rate,
    quantiles.p50.above_ms as p50_lower_ms,
    quantiles.p50.le_ms as p50_upper_ms,
    marts.interpolated_ms(quantiles.p50, 0.5 * quantiles.total) as p50_interpolated_ms,
    quantiles.p90.above_ms as p90_lower_ms,
    quantiles.p90.le_ms as p90_upper_ms,
    marts.interpolated_ms(quantiles.p90, 0.9 * quantiles.total) as p90_interpolated_ms,
    quantiles.p99.above_ms as p99_lower_ms,
    quantiles.p99.le_ms as p99_upper_ms,
    marts.interpolated_ms(quantiles.p99, 0.99 * quantiles.total) as p99_interpolated_ms
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
