-- buckets of counters and queries by a number of their part: four names in every row took five times
-- as long to write as all else of it
-- reads: measured_buckets; yields: measured_parts, the same buckets with part_id

-- One row per part of a metric and variant that was ever known.
create table measured_parts (
    part_id ubigint not null,      -- a hash of the rest
    experiment varchar not null,
    metric varchar not null,
    variant varchar not null,
    part varchar not null          -- 'part', 'of', 'lost' (estimate of what no scrape saw), 'query'
);

insert into measured_parts
select distinct
    md5_number_lower(to_json([experiment, metric, variant, part])),
    experiment,
    metric,
    variant,
    part
from measured_buckets;

create table numbered_buckets (
    part_id ubigint not null using compression rle,
    window_start timestamptz not null using compression rle,
    bucket_start timestamptz not null using compression bitpacking,
    amount double not null         -- events; of a query its value
);

insert into numbered_buckets
select
    parts.part_id,
    buckets.window_start,
    buckets.bucket_start,
    buckets.amount
from measured_buckets as buckets
inner join measured_parts as parts using (experiment, metric, variant, part);

drop table measured_buckets;

alter table numbered_buckets rename to measured_buckets;
