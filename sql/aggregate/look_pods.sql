-- one row per (variant, pod) up to a look: requests that were answered, and failures
-- reads: counter_samples, series; parameters: experiment, from, until (instants, from excluded)
-- As look_requests counts them: faults that the mesh injected are left out. A pod goes by its name
-- where the scrape configuration has kept it, else by the address of its proxy.
with pods as (
    select
        series_id,
        variant,
        response_class,
        coalesce(labels ->> '$.pod', labels ->> '$.kubernetes_pod_name', target) as pod
    from series
    where
        experiment = $experiment
        and role = 'requests'
        and response_class in ('ok', 'failed')
        and (',' || response_flags || ',') not like '%,FI,%'
        and (',' || response_flags || ',') not like '%,DI,%'
)

select
    pods.variant,
    pods.pod,
    sum(samples.delta) as answered,
    sum(case when pods.response_class = 'failed' then samples.delta else 0 end) as failed
from counter_samples as samples
inner join pods
    on samples.series_id = pods.series_id
where
    samples.experiment = $experiment
    and samples.ts > $from and samples.ts <= $until
    and samples.delta > 0
group by pods.variant, pods.pod
order by pods.variant, pods.pod
