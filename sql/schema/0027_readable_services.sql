-- services for people whose URLs could be read: to ask Apprise takes longer than a run without news
-- reads: nothing; yields: readable_services
create table readable_services (
    service varchar primary key  -- the hash of its URL
);
