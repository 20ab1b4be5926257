-- writes the buckets of windows of conversion counters
-- reads: incoming_buckets; writes: conversion_buckets; parameters: experiment
insert into conversion_buckets
    (experiment, window_start, bucket_start, variant, outcome, users)
select
    $experiment,
    window_start,
    bucket_start,
    variant,
    part as outcome,
    amount::bigint as users
from incoming_buckets
