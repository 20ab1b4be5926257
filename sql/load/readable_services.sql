-- notes services whose URLs can be read
-- writes: readable_services; parameters: services
insert into readable_services
select unnest($services)
on conflict do nothing
