-- one row per event of an experiment's latest delivery up to a time (null: all), in order
-- reads: delivery_events; parameters: experiment, until
with known as (
    select
        delivery,
        event,
        happened_at,
        kind,
        stage,
        weights,
        detail
    from delivery_events
    where experiment = $experiment and ($until is null or happened_at <= $until)
)

select
    delivery,
    happened_at,
    kind,
    stage,
    weights,
    detail
from known
where delivery = (select max(known.delivery) from known)
order by event
