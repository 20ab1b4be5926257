-- one row per variant of an experiment, by the spec of its latest look
-- reads: marts.experiments; yields: marts.variants
create view marts.variants as
select
    experiments.experiment,
    arms.key as variant,
    arms.key = experiments.baseline as is_baseline,
    arms.value ->> '$.version' as version
from marts.experiments as experiments, json_each(experiments.spec, '$.variants') as arms;

comment on view marts.variants is
    'One row per variant of an experiment, by the spec of its latest look.';
comment on column marts.variants.experiment is 'Name of the experiment.';
comment on column marts.variants.variant is 'Name of the variant.';
comment on column marts.variants.is_baseline is 'Whether the others are compared with this one.';
comment on column marts.variants.version is
    'How the mesh names it (version label, or Envoy cluster); null if it is picked out by other labels.';
