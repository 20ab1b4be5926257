-- one row per (variant, outcome, day) up to a look: users as counted by the service itself, and the last
--   bucket that has any
-- reads: conversion_buckets; parameters: experiment, until (bucket starts, until excluded)
select
    variant,
    outcome,
    cast(bucket_start as date) as counted_on,
    sum(users) as users,
    max(bucket_start) as latest
from conversion_buckets
where experiment = $experiment and bucket_start < $until
group by variant, outcome, counted_on
order by variant, outcome, counted_on
