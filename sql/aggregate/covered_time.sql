-- one row: for how many milliseconds of a span a source was scraped, to the bucket
-- reads: sample_runs; parameters: experiment, since, until, bucket_ms (bucket starts, until
-- excluded)
-- Requests that nobody saw are no traffic that wasn't there: rates are over this time.
with scraped as (
    select distinct (epoch_ms(ts) - 1) // $bucket_ms * $bucket_ms as bucket_ms
    from samples_between($since, $until)
    where experiment_id = md5_number_lower($experiment)
)

select count(*) * $bucket_ms as covered_ms
from scraped
where bucket_ms >= epoch_ms($since) and bucket_ms < epoch_ms($until)
