-- one row per series of requests, window and five minutes that had requests
-- reads: incoming_series_requests; writes: series_requests; parameters: experiment
insert into series_requests
    (experiment, window_start, series_id, five_minutes, requests)
select $experiment, window_start, series_id, five_minutes, requests
from incoming_series_requests
