-- cohorts: of which route rule the requests are, where an experiment tells them apart
-- reads: series, request_buckets, latency_buckets, optional_counters, exposure_lost
-- yields: the same with cohort; '' = none

alter table series add column cohort varchar default '';
alter table request_buckets add column cohort varchar default '';
alter table latency_buckets add column cohort varchar default '';
alter table optional_counters add column cohort varchar default '';
alter table exposure_lost add column cohort varchar default '';
