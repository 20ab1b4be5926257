-- one row per (variant, outcome) up to a look: users as counted by the service itself
-- reads: conversion_buckets; parameters: experiment, until (bucket starts, until excluded)
select
    variant,
    outcome,
    sum(users) as users
from conversion_buckets
where experiment = $experiment and bucket_start < $until
group by variant, outcome
order by variant, outcome
