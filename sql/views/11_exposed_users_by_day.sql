-- one row per (day of the first exposure, variant): users; those seen in two variants apart
-- reads: exposures, marts.experiments, marts.variants; yields: marts.exposed_users_by_day
create view marts.exposed_users_by_day as
with users as (
    select
        exposures.experiment,
        exposures.user_id,
        cast(min(exposures.exposed_at) at time zone 'UTC' as date) as day,
        case
            when min(exposures.variant) = max(exposures.variant) then min(exposures.variant)
        end as variant
    from main.exposures as exposures
    inner join marts.variants as variants
        on
            exposures.experiment = variants.experiment
            and exposures.variant = variants.variant
    inner join marts.experiments as experiments on exposures.experiment = experiments.experiment
    where
        exposures.exposed_at
        >= coalesce(cast(experiments.spec ->> '$.plan.start' as timestamptz), '-infinity')
    group by exposures.experiment, exposures.user_id
)

select
    experiment,
    day,
    variant,
    variant is null as is_in_two_variants,
    count(*) as users
from users
group by experiment, day, variant;

comment on view marts.exposed_users_by_day is
    'One row per experiment, day and variant: users by their first exposure since the plan''s start.';
comment on column marts.exposed_users_by_day.experiment is 'Name of the experiment.';
comment on column marts.exposed_users_by_day.day is 'Day of the first exposure (UTC).';
comment on column marts.exposed_users_by_day.variant is
    'Name of the variant; null for users seen in two, who count for neither.';
comment on column marts.exposed_users_by_day.is_in_two_variants is
    'Whether these users were seen in more than one variant.';
comment on column marts.exposed_users_by_day.users is 'Number of users.';
