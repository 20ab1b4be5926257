-- raw counter samples with their differences, and their sums per bucket
-- reads: nothing; yields: series, counter_samples, request_buckets, latency_buckets, optional_counters,
--     exposure_lost

-- One row per series that a pull has seen. series_id is a hash of the normalised labels.
create table series (
    experiment varchar not null,
    series_id ubigint not null,
    metric varchar not null,       -- the name of the counter
    role varchar not null,         -- 'requests', 'latency' or 'optional'
    variant varchar not null,      -- or 'unattributed'
    target varchar not null,       -- the scraped target (pod)
    route varchar not null,
    response_class varchar not null,  -- 'ok', 'failed', 'cancelled'; others: 'all'
    response_code varchar not null,
    response_flags varchar not null,  -- sorted, comma-separated; '' = none
    le_ms double,                  -- upper bound of the latency bucket; null for other roles
    labels json not null
);

-- One row per sample inside a loaded window. No key: a window is replaced whole.
create table counter_samples (
    experiment varchar not null,
    window_start timestamptz not null,
    series_id ubigint not null,
    ts timestamptz not null,
    value double not null,
    delta double not null,         -- requests since the sample before, by the rules of `reason`
    reason utinyint not null       -- analysis.counting.counters.Reason
);

-- One row per (variant, bucket, route, class, code, flags) that had requests.
create table request_buckets (
    experiment varchar not null,
    window_start timestamptz not null,
    bucket_start timestamptz not null,
    variant varchar not null,
    route varchar not null,
    response_class varchar not null,
    response_code varchar not null,
    response_flags varchar not null,
    requests bigint not null
);

-- One row per (variant, bucket, le): requests at most le_ms slow, cumulative over le.
create table latency_buckets (
    experiment varchar not null,
    window_start timestamptz not null,
    bucket_start timestamptz not null,
    variant varchar not null,
    le_ms double not null,
    requests bigint not null
);

-- One row per (variant, bucket, counter) that moved: retries, ejections, limits, injected faults.
create table optional_counters (
    experiment varchar not null,
    window_start timestamptz not null,
    bucket_start timestamptz not null,
    variant varchar not null,      -- or 'unattributed': of a whole listener or route
    counter varchar not null,
    events bigint not null
);

-- What the scrapes can't have seen, by the bucket in which it was noticed, variant and cause.
create table exposure_lost (
    experiment varchar not null,
    window_start timestamptz not null,
    bucket_start timestamptz not null,
    variant varchar not null,
    cause varchar not null,        -- 'restart', 'gap', 'tail', 'baseline', 'unattributed'
    events bigint not null,
    requests double not null       -- estimate
);
