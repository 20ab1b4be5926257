-- writes the buckets of one window of conversion counters
-- reads: incoming_conversions; writes: conversion_buckets; parameters: experiment, window_start
insert into conversion_buckets
    (experiment, window_start, bucket_start, variant, outcome, users)
select
    $experiment,
    $window_start,
    bucket_start,
    variant,
    outcome,
    users
from incoming_conversions
