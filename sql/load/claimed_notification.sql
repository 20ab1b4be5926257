-- claims a message for sending
-- writes: notifications; parameters: experiment, message, service, until
update notifications
set claimed_until = $until
where experiment = $experiment and message = $message and service = $service
