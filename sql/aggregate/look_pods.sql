-- one row per (variant, pod, stretch of time, kind of response) up to a look: requests
-- reads: counter_samples, series; parameters: experiment, since, until (instants, since excluded),
--     stretch_ms (how long a stretch is), cohort (null for all), borrowed (a variant of
--     which all are read, or null)
-- A pod goes by its name where the scrape configuration has kept it, else by the address of its
-- proxy.
with pods as (
    select
        series_id,
        variant,
        outcome,
        response_code,
        grpc_status,
        response_flags,
        coalesce(labels ->> '$.pod', labels ->> '$.kubernetes_pod_name', target) as pod
    from series
    where experiment = $experiment and role = 'requests' and ($cohort is null or cohort = $cohort or variant = $borrowed)
)

select
    pods.variant,
    pods.pod,
    pods.outcome,
    pods.response_code,
    pods.grpc_status,
    pods.response_flags,
    (epoch_ms(samples.ts) - epoch_ms($since) - 1) // $stretch_ms as stretch,
    sum(samples.delta) as requests
from counter_samples as samples
inner join pods
    on samples.series_id = pods.series_id
where
    samples.experiment_id = md5_number_lower($experiment)
    and samples.ts > $since and samples.ts <= $until
    and samples.delta > 0
group by all
order by all
