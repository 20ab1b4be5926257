-- notes a message for a service, once
-- writes: notifications; parameters: experiment, message, service, title, body, noted_at
insert into notifications
    (experiment, message, service, title, body, noted_at)
values ($experiment, $message, $service, $title, $body, $noted_at)
on conflict do nothing
