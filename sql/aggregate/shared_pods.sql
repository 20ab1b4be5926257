-- one row per variant: requests since a time, and those of pods that answered for another variant too
-- reads: sample_runs, series; parameters: experiment, since, until (instants, since excluded)
with answered as (
    select
        series.variant,
        coalesce(
            series.labels ->> '$.pod', series.labels ->> '$.kubernetes_pod_name', series.target
        ) as pod,
        sum(samples.delta) as requests
    from samples_between($since, $until) as samples
    inner join series on samples.series_id = series.series_id
    where
        samples.experiment_id = md5_number_lower($experiment)
        and series.experiment = $experiment and series.role = 'requests'
        and samples.delta > 0
    group by all
),

of_pods as (
    select
        variant,
        pod,
        requests,
        count(*) over (partition by pod) > 1 as is_shared
    from answered
)

select
    variant,
    sum(requests) as requests,
    coalesce(sum(requests) filter (where is_shared), 0) as shared,
    min(pod) filter (where is_shared) as example
from of_pods
group by variant
order by variant
