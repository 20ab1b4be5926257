-- one row per (variant, bucket, cause): requests that no scrape can have seen
-- reads: exposure_lost; yields: marts.lost_exposure
create view marts.lost_exposure as
select
    experiment,
    bucket_start,
    variant,
    cause,
    events,
    requests as estimated_requests
from main.exposure_lost;

comment on view marts.lost_exposure is
    'One row per experiment, variant, bucket and cause: what the scrapes cannot have seen, estimated.';
comment on column marts.lost_exposure.experiment is 'Name of the experiment.';
comment on column marts.lost_exposure.bucket_start is 'Start of the bucket in which it was noticed (UTC).';
comment on column marts.lost_exposure.variant is 'Name of the variant, or unattributed.';
comment on column marts.lost_exposure.cause is
    'restart (requests before it), gap (scrapes missed), tail (after the last scrape), baseline (start unknown), unattributed (no version known).';
comment on column marts.lost_exposure.events is 'How many times it happened.';
comment on column marts.lost_exposure.estimated_requests is 'How many requests went unseen: an estimate.';
