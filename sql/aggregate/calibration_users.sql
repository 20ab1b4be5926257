-- one row per user with a final value, in the order in which they came: when, and the values
-- reads: unit_values, unit_arms; parameters: from, until (of the exposure); lists filled in: values
select
    epoch_ms(a.exposed_at) as exposed_ms,
    {values}
from unit_values as v
inner join unit_arms as a on v.user_id = a.user_id
where a.exposed_at >= $from and a.exposed_at < $until
order by a.exposed_at, v.user_id
