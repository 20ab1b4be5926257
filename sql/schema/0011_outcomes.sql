-- one outcome a request, its gRPC status apart from its code, and latencies that were cut off
-- reads: series, request_buckets, latency_buckets; yields: the same with outcome, grpc_status, cut_off

-- Tables are made anew: DuckDB changes no row of a table that the same transaction has altered. What
-- was counted before has its outcome from its class, code and flags, by the table of
-- analysis/requests/outcomes.py as far as these tell it; windows that the source still has are read
-- again.
create macro flagged(flags, names) as list_has_any(string_split(flags, ','), names);

create macro outcome_before(class, code, grpc, flags) as case
    when class = 'all' then 'all'
    when flagged(flags, ['FI', 'DI']) then 'injected'
    when class = 'cancelled' or grpc = '1' then 'abandoned'
    when code = '429' or flagged(flags, ['RL', 'RLSE']) or grpc = '8' then 'rejected'
    when grpc in ('3', '5', '6', '7', '9', '10', '11', '12', '16') and code not like '5%'
        then 'client_error'
    when class = 'failed' then 'failure'
    when flagged(flags, ['UT', 'UF', 'UO', 'UH', 'UC', 'UR', 'URX', 'UPE', 'LR', 'SI', 'NC', 'OM'])
        then 'failure'
    when code like '4%' then 'client_error'
    when code = '' and grpc = '' then 'unknown'
    else 'success'
end;

create table series_by_outcome (
    experiment varchar not null,
    series_id ubigint not null,
    metric varchar not null,       -- the name of the counter
    role varchar not null,         -- 'requests', 'latency' or 'optional'
    variant varchar not null,      -- or 'unattributed'
    target varchar not null,       -- the scraped target (pod)
    route varchar not null,
    outcome varchar not null,      -- analysis.requests.outcomes.Outcome; of other roles: 'all'
    response_code varchar not null,
    grpc_status varchar not null,  -- as a number; '' = none
    response_flags varchar not null,  -- sorted, comma-separated; '' = none
    le_ms double,                  -- upper bound of the latency bucket; null for other roles
    labels json not null
);

insert into series_by_outcome
with parted as (
    select
        *,
        regexp_extract(response_code, 'grpc (.+)$', 1) as grpc,
        regexp_replace(response_code, ' ?grpc .+$', '') as code
    from series
)

select
    experiment, series_id, metric, role, variant, target, route,
    outcome_before(response_class, code, grpc, response_flags), code, grpc, response_flags,
    le_ms, labels
from parted;

drop table series;
alter table series_by_outcome rename to series;

-- One row per (variant, bucket, route, outcome, code, gRPC status, flags) that had requests.
create table request_buckets_by_outcome (
    experiment varchar not null,
    window_start timestamptz not null,
    bucket_start timestamptz not null,
    variant varchar not null,
    route varchar not null,
    outcome varchar not null,
    response_code varchar not null,
    grpc_status varchar not null,
    response_flags varchar not null,
    requests bigint not null
);

insert into request_buckets_by_outcome
with parted as (
    select
        *,
        regexp_extract(response_code, 'grpc (.+)$', 1) as grpc,
        regexp_replace(response_code, ' ?grpc .+$', '') as code
    from request_buckets
)

select
    experiment, window_start, bucket_start, variant, route,
    outcome_before(response_class, code, grpc, response_flags), code, grpc, response_flags, requests
from parted;

drop table request_buckets;
alter table request_buckets_by_outcome rename to request_buckets;

drop macro outcome_before;
drop macro flagged;

-- Of the requests at most so slow, those that somebody stopped waiting for.
alter table latency_buckets add column cut_off bigint default 0;
