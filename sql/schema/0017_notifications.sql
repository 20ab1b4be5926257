-- words to people that are to be sent, or were
-- reads: nothing; yields: notifications

-- One row per message and service, written with what it tells in one transaction, so that neither a
-- kill nor a second run loses or doubles one. No URL: these are secrets.
create table notifications (
    experiment varchar not null,
    message varchar not null,          -- identity of what is told
    service varchar not null,          -- of a service's URL, a hash
    title varchar not null,
    body varchar not null,
    noted_at timestamptz not null,
    claimed_until timestamptz,         -- somebody is sending it
    sent_at timestamptz,
    primary key (experiment, message, service)
);
