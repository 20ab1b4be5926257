-- one row per service whose URL could be read before
-- reads: readable_services; parameters: services
select service
from readable_services
where list_contains($services, service)
