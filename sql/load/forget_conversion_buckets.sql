-- removes one window of conversion counters, before it is written again
-- writes: conversion_buckets
delete from conversion_buckets where experiment = $experiment and window_start = $window_start
