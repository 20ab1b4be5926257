-- when the processes of scraped targets started
-- reads: nothing; yields: pod_starts

-- One row per target and window in which its start time was seen: the latest. No key: a window is
-- replaced whole.
create table pod_starts (
    experiment varchar not null,
    window_start timestamptz not null,
    target varchar not null,
    started timestamptz not null
);
