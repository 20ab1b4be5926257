-- writes down that a message was sent, or (sent_at null) from when on it is to be tried again
-- writes: notifications; parameters: experiment, message, service, sent_at, until
update notifications
set sent_at = $sent_at, claimed_until = $until
where experiment = $experiment and message = $message and service = $service
