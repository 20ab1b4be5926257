-- one row per series of slow requests of some targets: its id, version, target and edge
-- reads: series; parameters: experiment, targets (list), cohort (null for all), borrowed (a variant of
--     which all are read, or null)
select
    series_id,
    variant,
    target,
    le_ms
from series
where
    experiment = $experiment and role = 'latency'
    and target in (select unnest($targets))
    and ($cohort is null or cohort = $cohort or variant = $borrowed)
order by series_id
