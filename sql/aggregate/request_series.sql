-- one row per series of requests: its version, pod and kind of response, with that kind's number in
--   look_requests
-- reads: series; parameters: experiment, cohort (null for all), borrowed (a variant of which all are
--     read, or null)
-- A pod goes by its name where the scrape configuration has kept it, else by the address of its
-- proxy.
select
    series_id,
    variant,
    coalesce(labels ->> '$.pod', labels ->> '$.kubernetes_pod_name', target) as pod,
    outcome,
    response_code,
    grpc_status,
    response_flags,
    hash(outcome, response_code, grpc_status, response_flags) as response
from series
where
    experiment = $experiment and role = 'requests'
    and ($cohort is null or cohort = $cohort or variant = $borrowed)
order by series_id
