-- at most one row: that counters whose past isn't known appear in a span
-- reads: sample_runs; parameters: experiment, since, until (instants, since excluded)
select 1 as is_found
from sample_runs
where
    experiment_id = md5_number_lower($experiment)
    and reason = 5
    and first_ts > $since and first_ts <= $until
limit 1
