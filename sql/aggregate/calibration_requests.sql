-- one row per bucket of a variant in a stretch of time: requests by what became of them
-- reads: request_buckets
-- parameters: experiment, variant, from, until (bucket starts, until excluded)
-- A request counts for the error share if it was answered: clients that left and faults that the
-- mesh injected are no answer.
select
    bucket_start,
    sum(requests) as requests,
    sum(case when outcome not in ('abandoned', 'injected') then requests else 0 end) as answered,
    sum(case when outcome = 'failure' then requests else 0 end) as failed
from request_buckets
where
    experiment = $experiment
    and variant = $variant
    and bucket_start >= $from and bucket_start < $until
group by bucket_start
order by bucket_start
