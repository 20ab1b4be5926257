-- makes the relation that says which metrics sql/aggregate/unit_* are to compute
-- yields: unit_metrics, a temporary table
create or replace temporary table unit_metrics (
    metric varchar not null,
    kind varchar not null,             -- 'proportion', 'count', 'mean'
    outcome varchar not null,
    window_us bigint not null,         -- outcomes count so long after the first exposure
    exposed_until timestamptz not null,  -- users exposed later can't have their final value yet
    shift double not null
)
