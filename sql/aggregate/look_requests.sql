-- one row per (variant, bucket) up to a look: requests, failures and injected faults
-- reads: request_buckets; parameters: experiment, from, until (bucket starts, until excluded)
-- A request counts for the error share if it was answered; faults that the mesh injected are
-- neither the version's doing nor an answer.
with flagged as (
    select
        variant,
        bucket_start,
        response_class,
        requests,
        (',' || response_flags || ',') like '%,FI,%'
        or (',' || response_flags || ',') like '%,DI,%' as injected
    from request_buckets
    where experiment = $experiment and bucket_start >= $from and bucket_start < $until
)

select
    variant,
    bucket_start,
    sum(requests) as requests,
    sum(case when injected then requests else 0 end) as injected,
    sum(case when response_class in ('ok', 'failed') and not injected then requests else 0 end)
        as answered,
    sum(case when response_class = 'failed' and not injected then requests else 0 end) as failed
from flagged
group by variant, bucket_start
