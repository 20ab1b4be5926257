-- one row per (variant, day, user metric): users with a final value, and what they did
-- reads: exposures, outcomes, conversion_buckets, pulls, marts.experiments, marts.variants,
--   marts.metrics; yields: marts.conversions_by_day
-- As sql/aggregate/user_statistics: the first exposure wins, users seen in two variants are left
-- out, outcomes count from the exposure to the end of the metric's window, and a user counts once
-- that window has elapsed. Kinds that need more than a total (ratio, retention, quantile) are not
-- here. Zero and false did not happen; without a value it did. Values are neither capped nor adjusted. Where the spec names counters, they say what its proportions are.
create view marts.conversions_by_day as
with asked as (
    select
        metrics.experiment,
        metrics.metric,
        metrics.kind,
        metrics.outcome,
        cast(metrics.window_s * 1000000 as bigint) as window_us,
        case when metrics.kind = 'proportion' then experiments.spec ->> '$.sources.conversions.exposed' end
            as exposed_outcome
    from marts.metrics as metrics
    inner join marts.experiments as experiments on metrics.experiment = experiments.experiment
    where metrics.kind in ('proportion', 'count', 'mean')
),

known as (
    select
        experiment,
        min(window_end) as known_until
    from main.pulls
    where source in ('exposures', 'outcomes')
    group by experiment
),

first_exposures as (
    select
        exposures.experiment,
        exposures.user_id,
        known.known_until,
        min(exposures.variant) as variant,
        min(exposures.exposed_at) as exposed_at
    from main.exposures as exposures
    inner join marts.variants as variants
        on exposures.experiment = variants.experiment and exposures.variant = variants.variant
    inner join known
        on exposures.experiment = known.experiment and exposures.exposed_at <= known.known_until
    inner join marts.experiments as experiments on exposures.experiment = experiments.experiment
    where
        exposures.exposed_at
        >= coalesce(cast(experiments.spec ->> '$.plan.start' as timestamptz), '-infinity')
    group by exposures.experiment, exposures.user_id, known.known_until
    having min(exposures.variant) = max(exposures.variant)
),

user_metrics as (
    select
        first_exposures.experiment,
        first_exposures.user_id,
        first_exposures.variant,
        first_exposures.exposed_at,
        cast(first_exposures.exposed_at at time zone 'UTC' as date) as day,
        asked.metric,
        asked.kind,
        asked.outcome,
        asked.window_us,
        date_diff('microsecond', first_exposures.exposed_at, first_exposures.known_until)
        >= asked.window_us as is_final
    from first_exposures
    inner join asked on first_exposures.experiment = asked.experiment
    where asked.exposed_outcome is null
),

cohorts as (
    select
        experiment,
        day,
        variant,
        metric,
        kind,
        outcome,
        count(*) filter (is_final) as users,
        count(*) filter (not is_final) as maturing_users
    from user_metrics
    group by experiment, day, variant, metric, kind, outcome
),

user_outcomes as (
    select
        user_metrics.experiment,
        user_metrics.day,
        user_metrics.variant,
        user_metrics.metric,
        user_metrics.user_id,
        count(*) as events,
        sum(outcomes.value) as total
    from user_metrics
    inner join main.outcomes as outcomes
        on
            user_metrics.experiment = outcomes.experiment
            and user_metrics.user_id = outcomes.user_id
            and user_metrics.outcome = outcomes.outcome
    where
        user_metrics.is_final
        and outcomes.value is distinct from 0
        and outcomes.occurred_at >= user_metrics.exposed_at
        and date_diff('microsecond', user_metrics.exposed_at, outcomes.occurred_at)
        < user_metrics.window_us
    group by
        user_metrics.experiment,
        user_metrics.day,
        user_metrics.variant,
        user_metrics.metric,
        user_metrics.user_id
),

achieved as (
    select
        experiment,
        day,
        variant,
        metric,
        count(*) as converted,
        sum(events) as events,
        sum(total) as total
    from user_outcomes
    group by experiment, day, variant, metric
),

by_user as (
    select
        cohorts.experiment,
        cohorts.day,
        cohorts.variant,
        cohorts.metric,
        cohorts.outcome,
        'users' as counted_by,
        cohorts.users,
        coalesce(achieved.converted, 0) as converted,
        case cohorts.kind
            when 'proportion' then coalesce(achieved.converted, 0)
            when 'count' then coalesce(achieved.events, 0)
            else coalesce(achieved.total, 0)
        end as total,
        cohorts.maturing_users
    from cohorts
    left join achieved
        on
            cohorts.experiment = achieved.experiment
            and cohorts.day = achieved.day
            and cohorts.variant = achieved.variant
            and cohorts.metric = achieved.metric
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
