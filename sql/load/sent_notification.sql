-- writes down that a message was sent, or (sent_at null) that it is to be tried again
-- writes: notifications; parameters: experiment, message, service, sent_at
update notifications
set sent_at = $sent_at, claimed_until = null
where experiment = $experiment and message = $message and service = $service
