-- one row per message and service that is to be sent now, oldest first
-- reads: notifications; parameters: services, since, now
select
    experiment,
    message,
    service,
    title,
    body
from notifications
where
    sent_at is null
    and noted_at >= $since
    and (claimed_until is null or claimed_until < $now)
    and list_contains($services, service)
order by noted_at, experiment, message, service
