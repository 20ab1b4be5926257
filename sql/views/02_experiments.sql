-- one row per experiment that was looked at: what its latest look was asked to judge
-- reads: specs, looks; yields: marts.experiments
create view marts.experiments as
with looked as (
    select
        experiment,
        arg_max(spec_hash, look_at) as spec_hash,
        arg_max(window_start, look_at) as started_at,
        min(look_at) as first_look_at,
        max(look_at) as latest_look_at,
        count(*) as looks
    from main.looks
    group by experiment
)

select
    looked.experiment,
    specs.spec ->> '$.description' as description,
    specs.spec ->> '$.service' as service,
    specs.spec ->> '$.namespace' as namespace,
    specs.spec ->> '$.mesh' as mesh,
    coalesce(
        list_filter(
            json_keys(specs.spec -> '$.variants'),
            lambda name: (specs.spec -> '$.variants' -> name ->> 'baseline') = 'true'
        )[1],
        json_keys(specs.spec -> '$.variants')[1]
    ) as baseline,
    cast(specs.spec ->> '$.plan.alpha' as double) as alpha,
    marts.seconds_of(specs.spec ->> '$.plan.bucket') as bucket_s,
    looked.started_at,
    looked.first_look_at,
    looked.latest_look_at,
    looked.looks,
    looked.spec_hash,
    specs.spec
from looked
inner join main.specs as specs
    on looked.experiment = specs.experiment and looked.spec_hash = specs.spec_hash;

comment on view marts.experiments is
    'One row per experiment that was looked at: what its latest look was asked to judge.';
comment on column marts.experiments.experiment is 'Name of the experiment: the key to all other tables.';
comment on column marts.experiments.description is 'What the spec says it is about; may be empty.';
comment on column marts.experiments.service is 'The service whose traffic is split.';
comment on column marts.experiments.namespace is 'The namespace of the service.';
comment on column marts.experiments.mesh is
    'Which metric families describe the requests: istio, linkerd, envoy ...; null without request metrics.';
comment on column marts.experiments.baseline is 'The variant that the others are compared with.';
comment on column marts.experiments.alpha is
    'Error rate of the whole experiment, over all looks and metrics.';
comment on column marts.experiments.bucket_s is 'Length of a bucket, in seconds.';
comment on column marts.experiments.started_at is 'Start of the plan, as configured or as first observed (UTC).';
comment on column marts.experiments.first_look_at is 'The earliest look (UTC).';
comment on column marts.experiments.latest_look_at is 'The latest look (UTC).';
comment on column marts.experiments.looks is 'How many looks there were.';
comment on column marts.experiments.spec_hash is 'Identity of the spec of the latest look.';
comment on column marts.experiments.spec is 'The spec of the latest look as JSON, defaults filled in.';
