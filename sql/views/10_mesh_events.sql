-- one row per (variant, bucket, counter) that moved
-- reads: optional_counters; yields: marts.mesh_events
create view marts.mesh_events as
select
    experiment,
    bucket_start,
    variant,
    counter,
    events
from main.optional_counters;

comment on view marts.mesh_events is
    'One row per experiment, variant, bucket and counter that moved: retries, ejections, limits, injected faults.';
comment on column marts.mesh_events.experiment is 'Name of the experiment.';
comment on column marts.mesh_events.bucket_start is
    'Start of the bucket (UTC): events after it, up to and including its end.';
comment on column marts.mesh_events.variant is
    'Name of the variant, or unattributed: counted for a whole listener or route.';
comment on column marts.mesh_events.counter is 'Name of the counter in the mesh.';
comment on column marts.mesh_events.events is 'How often it happened.';
