-- one row per service that has taken a message
-- reads: notifications; parameters: services
select distinct service
from notifications
where sent_at is not null and list_contains($services, service)
