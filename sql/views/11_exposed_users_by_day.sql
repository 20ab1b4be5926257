-- one row per (day of the first exposure, variant): users; those seen in two variants apart
-- reads: exposed_days, marts.experiments; yields: marts.exposed_users_by_day
-- As of the last pull, which keeps the counts; no user is read.
create view marts.exposed_users_by_day as
select
    kept.experiment,
    kept.exposed_on as day,
    kept.variant,
    kept.variant is null as is_in_two_variants,
    cast(sum(kept.users) as bigint) as users
from main.exposed_days as kept
inner join marts.experiments as experiments on kept.experiment = experiments.experiment
where kept.dimension = ''
group by kept.experiment, kept.exposed_on, kept.variant;

comment on view marts.exposed_users_by_day is
    'One row per experiment, day and variant: users by their first exposure since the plan''s start.';
comment on column marts.exposed_users_by_day.experiment is 'Name of the experiment.';
comment on column marts.exposed_users_by_day.day is 'Day of the first exposure (UTC).';
comment on column marts.exposed_users_by_day.variant is
    'Name of the variant; null for users seen in two, who count for neither.';
comment on column marts.exposed_users_by_day.is_in_two_variants is
    'Whether these users were seen in more than one variant.';
comment on column marts.exposed_users_by_day.users is 'Number of users.';
