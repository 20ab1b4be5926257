-- empties the windows that are about to be loaded
-- reads: incoming_windows; writes: conversion_buckets; parameters: experiment
delete from conversion_buckets
where experiment = $experiment and window_start in (select window_start from incoming_windows)
