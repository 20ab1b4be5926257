-- one row per experiment that the warehouse knows: a hash of what is published of it
-- reads: pulls, user_parts, forgotten_users, delivery_events, looks, seen_looks
-- seen_looks counts the looks that were recorded, at whatever time they were.
with facts as (
    select
        experiment,
        hash('pull', pulls) as fact
    from pulls
    union all
    select
        experiment,
        hash('part', user_parts) as fact
    from user_parts
    union all
    select
        experiment,
        hash('forgotten', forgotten_users) as fact
    from forgotten_users
    union all
    select
        experiment,
        hash('delivery', delivery_events) as fact
    from delivery_events
    union all
    select
        experiment,
        hash('look', looks) as fact
    from looks
    union all
    select
        experiment,
        hash('recorded', experiment, written) as fact
    from seen_looks
)

select
    experiment,
    concat(count(*), ' ', sum(cast(fact as hugeint))) as state
from facts
group by experiment
