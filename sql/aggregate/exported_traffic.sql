-- one row per part of a plan and variant: requests in it
-- reads: request_buckets
-- parameters: experiments, since, until (lists: a part's experiment, and its bucket starts, until
--   excluded); yields the part's place in the lists, from 1
with parts as (
    select
        generate_subscripts($experiments, 1) as part,
        unnest($experiments) as experiment,
        unnest(cast($since as timestamptz [])) as since,
        unnest(cast($until as timestamptz [])) as until
)

select
    parts.part,
    request_buckets.variant,
    sum(request_buckets.requests) as requests
from parts
inner join request_buckets
    on
        parts.experiment = request_buckets.experiment
        and request_buckets.bucket_start >= parts.since
        and request_buckets.bucket_start < parts.until
group by parts.part, request_buckets.variant
order by parts.part, request_buckets.variant
