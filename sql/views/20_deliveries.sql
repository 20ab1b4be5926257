-- one row per event of a delivery
-- reads: delivery_events; yields: marts.deliveries
create view marts.deliveries as
select
    experiment,
    delivery,
    event,
    happened_at,
    kind,
    stage,
    weights,
    fence,
    detail
from main.delivery_events;

comment on view marts.deliveries is
    'One row per event of a delivery: what the controller and people did to the traffic, and why.';
comment on column marts.deliveries.experiment is 'Name of the experiment.';
comment on column marts.deliveries.delivery is 'Number of the delivery, from 1 per experiment.';
comment on column marts.deliveries.event is 'Number of the event, from 1 per delivery.';
comment on column marts.deliveries.happened_at is 'When it was recorded (UTC).';
comment on column marts.deliveries.kind is
    'began; shifting: decided; shifted: the target carries it; asked: a person is to decide; '
    'approved and aborted: a person did.';
comment on column marts.deliveries.stage is
    'From 1; 0: all traffic back to the baseline; one more than there are stages: promoted. '
    'Of began: how many stages there are.';
comment on column marts.deliveries.weights is 'Percent of the traffic by variant, as JSON.';
comment on column marts.deliveries.fence is
    'Number of the controller''s lease; null where a person acted.';
comment on column marts.deliveries.detail is 'Why, in a sentence; of began: identity of the plan.';
