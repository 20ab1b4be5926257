-- one row per bucket of a variant in a stretch of time: requests by what became of them
-- reads: request_buckets
-- parameters: experiment, variant, from, until (bucket starts, until excluded)
-- As in look_requests: a request counts for the error share if it was answered; faults that the
-- mesh injected are neither the version's doing nor an answer.
with flagged as (
    select
        bucket_start,
        response_class,
        requests,
        (',' || response_flags || ',') like '%,FI,%'
        or (',' || response_flags || ',') like '%,DI,%' as injected
    from request_buckets
    where
        experiment = $experiment
        and variant = $variant
        and bucket_start >= $from and bucket_start < $until
)

select
    bucket_start,
    sum(requests) as requests,
    sum(case when response_class in ('ok', 'failed') and not injected then requests else 0 end)
        as answered,
    sum(case when response_class = 'failed' and not injected then requests else 0 end) as failed
from flagged
group by bucket_start
order by bucket_start
