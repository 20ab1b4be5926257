-- at most one row: who may shift an experiment's traffic
-- reads: delivery_leases; parameters: experiment
select
    fence,
    holder,
    until
from delivery_leases
where experiment = $experiment
