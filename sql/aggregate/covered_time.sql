-- one row: for how many milliseconds of a span a source was scraped, to the bucket
-- reads: counter_samples; parameters: experiment, since, until, bucket_ms (bucket starts, until
-- excluded)
-- Requests that nobody saw are no traffic that wasn't there: rates are over this time.
with scraped as (
    select distinct (epoch_ms(ts) - 1) // $bucket_ms * $bucket_ms as bucket_ms
    from counter_samples
    where experiment_id = md5_number_lower($experiment) and ts > $since and ts <= $until
)

select count(*) * $bucket_ms as covered_ms
from scraped
where bucket_ms >= epoch_ms($since) and bucket_ms < epoch_ms($until)
