-- one row per (variant, bucket, route, class, code, flags) that had requests
-- reads: request_buckets; yields: marts.request_counts
create view marts.request_counts as
select
    experiment,
    bucket_start,
    variant,
    route,
    response_class,
    response_code,
    response_flags,
    list_has_any(string_split(response_flags, ','), ['FI', 'DI']) as is_injected,
    requests
from main.request_buckets;

comment on view marts.request_counts is
    'One row per experiment, variant, bucket, route, response class, code and flags that had requests: exact counts.';
comment on column marts.request_counts.experiment is 'Name of the experiment.';
comment on column marts.request_counts.bucket_start is
    'Start of the bucket (UTC): requests after it, up to and including its end. Its length is experiments.bucket_s.';
comment on column marts.request_counts.variant is
    'Name of the variant, or unattributed: requests that failed before a version was chosen.';
comment on column marts.request_counts.route is 'Name of the route; empty where the mesh has none.';
comment on column marts.request_counts.response_class is 'ok, failed or cancelled (the client went away).';
comment on column marts.request_counts.response_code is 'HTTP status code; 0 where there was no response.';
comment on column marts.request_counts.response_flags is
    'Response flags of Envoy, sorted, with commas; empty if none.';
comment on column marts.request_counts.is_injected is
    'Whether the mesh injected a fault (FI) or a delay (DI): counts neither for nor against the version.';
comment on column marts.request_counts.requests is 'Number of requests.';
