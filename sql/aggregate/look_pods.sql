-- one row per (variant, pod) up to a look: requests that were answered, and failures
-- reads: counter_samples, series; parameters: experiment, from, until (instants, from excluded)
-- As look_requests counts them: faults that the mesh injected are left out.
select
    series.variant,
    series.target as pod,
    sum(samples.delta) as answered,
    sum(case when series.response_class = 'failed' then samples.delta else 0 end) as failed
from counter_samples as samples
inner join series
    on samples.experiment = series.experiment and samples.series_id = series.series_id
where
    samples.experiment = $experiment
    and samples.ts > $from and samples.ts <= $until
    and samples.delta > 0
    and series.role = 'requests'
    and series.response_class in ('ok', 'failed')
    and (',' || series.response_flags || ',') not like '%,FI,%'
    and (',' || series.response_flags || ',') not like '%,DI,%'
group by series.variant, series.target
order by series.variant, series.target
