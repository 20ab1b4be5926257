-- one row per experiment asked for of which something is known: a hash of what a look at a time
--   reads in the warehouse; rows that were pulled are known by the loads that wrote them
-- reads: pulls, user_parts, replaced_parts, forgotten_users, delivery_events, signal_approvals,
--   looks; parameters: experiments, looks (lists: the time of each look), at (the time of asking)
with asked as (
    select
        unnest($experiments) as experiment,
        unnest(cast($looks as timestamptz [])) as look_at
),

facts as (
    select
        asked.experiment,
        -- Users count up to the look, however much later the last pull was.
        hash(
            'pull', pulls.source, pulls.window_start, least(pulls.window_end, asked.look_at),
            pulls.generation, pulls.row_count, pulls.targets_up, pulls.warnings, pulls.selection,
            pulls.notes
        ) as fact
    from asked
    inner join pulls on asked.experiment = pulls.experiment
    union all
    select
        asked.experiment,
        hash('part', user_parts) as fact
    from asked
    inner join user_parts on asked.experiment = user_parts.experiment
    union all
    select
        asked.experiment,
        hash('replaced', replaced_parts) as fact
    from asked
    inner join replaced_parts on asked.experiment = replaced_parts.experiment
    union all
    select
        asked.experiment,
        hash('forgotten', forgotten_users) as fact
    from asked
    inner join forgotten_users on asked.experiment = forgotten_users.experiment
    union all
    -- What people decided later than this was asked is no part of the look.
    select
        asked.experiment,
        hash('delivery', delivery_events) as fact
    from asked
    inner join delivery_events
        on asked.experiment = delivery_events.experiment and delivery_events.happened_at <= $at
    union all
    select
        asked.experiment,
        hash('approval', signal_approvals) as fact
    from asked
    inner join signal_approvals
        on asked.experiment = signal_approvals.experiment and signal_approvals.approved_at <= $at
    union all
    select
        asked.experiment,
        hash('look', looks) as fact
    from asked
    inner join looks on asked.experiment = looks.experiment and looks.look_at < asked.look_at
)

select
    experiment,
    concat(count(*), ' ', sum(cast(fact as hugeint))) as evidence
from facts
group by experiment
