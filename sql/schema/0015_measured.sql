-- what counters and queries that metrics name themselves say, by bucket
-- reads: nothing; yields: measured_buckets

-- One row per (metric, variant, part, bucket) that is known: no row, nothing known. No key: a window
-- is replaced whole.
create table measured_buckets (
    experiment varchar not null,
    metric varchar not null,
    window_start timestamptz not null,
    bucket_start timestamptz not null,
    variant varchar not null,
    part varchar not null,         -- 'part', 'of', 'lost' (estimate of what no scrape saw), 'query'
    amount double not null         -- events; of a query its value
);
