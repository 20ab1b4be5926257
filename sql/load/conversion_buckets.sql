-- writes the buckets of windows of conversion counters
-- reads: incoming_buckets, incoming_parts; writes: conversion_buckets; parameters: experiment
insert into conversion_buckets
    (experiment, window_start, bucket_start, variant, outcome, users)
select
    $experiment,
    buckets.window_start,
    buckets.bucket_start,
    named.variant,
    named.part as outcome,
    buckets.amount::bigint as users
from incoming_buckets as buckets
inner join incoming_parts as named on buckets.owner = named.owner
