-- one row per day on which users were first exposed, and whether its sums are stored
-- reads: exposed_days, user_sums; parameters: experiment, cohort
select
    u.exposed_on,
    bool_or(s.exposed_on is not null) as is_stored
from (
    select distinct exposed_on
    from exposed_days
    where experiment = $experiment
) as u
left join (
    select distinct exposed_on
    from user_sums
    where experiment = $experiment and cohort = $cohort
) as s on u.exposed_on = s.exposed_on
group by u.exposed_on
order by u.exposed_on
