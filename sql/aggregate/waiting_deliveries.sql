-- one row per experiment whose latest delivery asked a person, and was not answered
-- reads: delivery_events
with latest as (
    select
        experiment,
        delivery,
        max(event) filter (where kind = 'asked') as asked,
        max(event) filter (where kind in ('approved', 'aborted', 'shifting', 'shifted')) as answered
    from delivery_events
    group by experiment, delivery
    qualify row_number() over (partition by experiment order by delivery desc) = 1
)

select experiment
from latest
where asked > coalesce(answered, 0)
order by experiment
