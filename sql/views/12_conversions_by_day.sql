-- one row per (variant, day, user metric): users with a final value, and what they did
-- reads: exposed_days, kept_cohorts, user_sums, conversion_buckets, marts.experiments, marts.metrics;
--   yields: marts.conversions_by_day
-- As of the last pull, which keeps the sums by day; no user is read. The first exposure wins, users seen in two variants are left
-- out, outcomes count from the exposure to the end of the metric's window, and a user counts once
-- that window has elapsed. Kinds that need more than a total (ratio, retention, quantile) are not
-- here. Zero and false did not happen; without a value it did. Values are neither capped nor adjusted. Where the spec names counters, they say what its proportions are.
create view marts.conversions_by_day as
with asked as (
    select
        metrics.experiment,
        metrics.metric,
        metrics.outcome,
        case when metrics.kind = 'proportion' then experiments.spec ->> '$.sources.conversions.exposed' end
            as exposed_outcome
    from marts.metrics as metrics
    inner join marts.experiments as experiments on metrics.experiment = experiments.experiment
    where metrics.kind in ('proportion', 'count', 'mean')
),

exposed as (
    select
        experiment,
        exposed_on as day,
        variant,
        sum(users) as users
    from main.exposed_days
    where dimension = '' and variant is not null
    group by experiment, exposed_on, variant
),

placed as (
    select
        experiment,
        cohort,
        unnest(metrics) as metric,
        unnest(places) as place
    from main.kept_cohorts
),

summed as (
    select
        placed.experiment,
        placed.metric,
        sums.exposed_on as day,
        sums.variant,
        sum(sums.users) as users,
        sum(sums.converted[placed.place]) as converted,
        sum(sums.amounts[placed.place]) as total
    from placed
    inner join main.user_sums as sums
        on placed.experiment = sums.experiment and sums.cohort in (placed.cohort, concat(placed.cohort, '+'))
    where sums.dimension = ''
    group by placed.experiment, placed.metric, sums.exposed_on, sums.variant
),

by_user as (
    select
        asked.experiment,
        exposed.day,
        exposed.variant,
        asked.metric,
        asked.outcome,
        'users' as counted_by,
        coalesce(summed.users, 0) as users,
        coalesce(summed.converted, 0) as converted,
        coalesce(summed.total, 0) as total,
        exposed.users - coalesce(summed.users, 0) as maturing_users
    from asked
    inner join placed on asked.experiment = placed.experiment and asked.metric = placed.metric
    inner join exposed on asked.experiment = exposed.experiment
    left join summed
        on
            asked.experiment = summed.experiment
            and asked.metric = summed.metric
            and exposed.day = summed.day
            and exposed.variant = summed.variant
    where asked.exposed_outcome is null
),

by_counter as (
    select
        asked.experiment,
        cast(counted.bucket_start at time zone 'UTC' as date) as day,
        counted.variant,
        asked.metric,
        asked.outcome,
        'counters' as counted_by,
        coalesce(sum(counted.users) filter (counted.outcome = asked.exposed_outcome), 0) as users,
        coalesce(sum(counted.users) filter (counted.outcome = asked.outcome), 0) as converted,
        converted as total,
        0 as maturing_users
    from asked
    inner join main.conversion_buckets as counted on asked.experiment = counted.experiment
    where asked.exposed_outcome is not null
    group by asked.experiment, day, counted.variant, asked.metric, asked.outcome
),

together as (
    select * from by_user
    union all by name
    select * from by_counter
)

select
    experiment,
    day,
    variant,
    metric,
    outcome,
    counted_by,
    cast(users as bigint) as users,
    cast(converted as bigint) as converted,
    converted / nullif(users, 0) as conversion_rate,
    total / nullif(users, 0) as value_per_user,
    cast(maturing_users as bigint) as maturing_users
from together;

comment on view marts.conversions_by_day is
    'One row per experiment, variant, day and metric of users: how many of them did it. First exposure wins; users seen in two variants are left out; earlier outcomes do not count.';
comment on column marts.conversions_by_day.experiment is 'Name of the experiment.';
comment on column marts.conversions_by_day.day is
    'Day of the first exposure of the users (UTC); with counters, the day of the counting.';
comment on column marts.conversions_by_day.variant is 'Name of the variant.';
comment on column marts.conversions_by_day.metric is 'Name of the metric.';
comment on column marts.conversions_by_day.outcome is 'The outcome that the metric counts.';
comment on column marts.conversions_by_day.counted_by is
    'users: from exposures and outcomes of single users; counters: from totals that the service counted.';
comment on column marts.conversions_by_day.users is
    'Users with a final value: the window of the metric has elapsed. With counters, users exposed on the day.';
comment on column marts.conversions_by_day.converted is
    'Those of them with at least one outcome in the window. With counters, users who converted on the day.';
comment on column marts.conversions_by_day.conversion_rate is
    'converted / users; null without users. Over several days, sum both first.';
comment on column marts.conversions_by_day.value_per_user is
    'The value of the metric: of a proportion the rate, of a count the outcomes per user, of a mean the value per user.';
comment on column marts.conversions_by_day.maturing_users is
    'Users of that day who are not counted yet, because their window still runs.';
