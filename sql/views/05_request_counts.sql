-- one row per (variant, bucket, cohort, route, outcome, code, gRPC status, flags) that had requests
-- reads: request_buckets; yields: marts.request_counts
create view marts.request_counts as
select
    experiment,
    bucket_start,
    variant,
    cohort,
    route,
    outcome,
    response_code,
    grpc_status,
    response_flags,
    requests
from main.request_buckets;

comment on view marts.request_counts is
    'One row per experiment, variant, bucket, cohort, route, outcome, code, gRPC status and flags that had requests: exact counts.';
comment on column marts.request_counts.experiment is 'Name of the experiment.';
comment on column marts.request_counts.bucket_start is
    'Start of the bucket (UTC): requests after it, up to and including its end. Its length is experiments.bucket_s.';
comment on column marts.request_counts.variant is
    'Name of the variant, or unattributed: requests that failed before a version was chosen.';
comment on column marts.request_counts.cohort is
    'Name of the cohort, where the spec tells route rules apart; empty for requests of none.';
comment on column marts.request_counts.route is 'Name of the route; empty where the mesh has none.';
comment on column marts.request_counts.outcome is
    'How the requests ended: success, failure, client_error, rejected (by a limit), abandoned (the client left), injected (a fault or delay that the mesh was told to), unknown.';
comment on column marts.request_counts.response_code is 'HTTP status code; 0 where there was no response.';
comment on column marts.request_counts.grpc_status is 'Number of the gRPC status; empty if none.';
comment on column marts.request_counts.response_flags is
    'Response flags of Envoy, or the error of Linkerd''s proxy, sorted, with commas; empty if none.';
comment on column marts.request_counts.requests is 'Number of requests.';
