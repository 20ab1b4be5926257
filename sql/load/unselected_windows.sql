-- has all windows of counters read again, for their recording holds something else now
-- writes: pulls; parameters: experiment
update pulls
set selection = ''
where
    experiment = $experiment
    and (source = 'requests' or starts_with(source, 'metric '))
