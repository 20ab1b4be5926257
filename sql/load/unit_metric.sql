-- names one metric for sql/aggregate/unit_*
-- writes: unit_metrics
insert into unit_metrics
values ($metric, $kind, $outcome, $window_us, $exposed_until, $shift)
