-- gives the lease of an experiment to its holder until a time
-- writes: delivery_leases; parameters: experiment, fence, holder, until
insert or replace into delivery_leases
values ($experiment, $fence, $holder, $until)
