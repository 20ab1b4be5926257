-- one row per (variant, cohort, bucket, cause): events and estimated requests
-- reads: incoming_losses; writes: exposure_lost; parameters: experiment
insert into exposure_lost
    (experiment, window_start, bucket_start, variant, cohort, cause, events, requests)
select $experiment, window_start, bucket_start, variant, cohort, cause, events, requests
from incoming_losses
