-- adds what happened to a delivery, after all that happened before
-- writes: delivery_events; reads: delivery_events; parameters: experiment, delivery,
--   happened_at, kind, stage, weights, fence, detail
insert into delivery_events
select
    $experiment,
    $delivery,
    coalesce(max(event), 0) + 1,
    $happened_at,
    $kind,
    $stage,
    $weights,
    $fence,
    $detail
from delivery_events
where experiment = $experiment and delivery = $delivery
