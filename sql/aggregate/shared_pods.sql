-- one row per variant: requests since a time, and those of pods that answered for another variant too
-- reads: sample_runs, series; parameters: experiment, since, until (instants, since excluded)
-- Pods of two namespaces may have one name, and two pods one address after each other: a pod is both.
-- A collector's or a gateway's name isn't that of the workload that answered.
with named as (
    select
        series_id,
        variant,
        target,
        coalesce(labels ->> '$.pod', labels ->> '$.kubernetes_pod_name') as pod,
        labels ->> '$.destination_workload' as workload
    from series
    where experiment = $experiment and role = 'requests'
),

answered as (
    select
        named.variant,
        named.target,
        case when starts_with(named.pod, named.workload) then named.pod end as pod,
        sum(samples.delta) as requests
    from samples_between($since, $until) as samples
    inner join named on samples.series_id = named.series_id
    where samples.experiment_id = md5_number_lower($experiment) and samples.delta > 0
    group by all
),

of_pods as (
    select
        variant,
        pod,
        requests,
        pod is not null and count(*) over (partition by target, pod) > 1 as is_shared
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
