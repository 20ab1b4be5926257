-- one row per user with a final value, in the order in which they came: when, and the values
-- reads: final_values, users_at_look; parameters: since, until (of the exposure); lists filled in: values
select
    epoch_ms(a.exposed_at) as exposed_ms,
    {values}
from final_values as v
inner join users_at_look as a on v.user_id = a.user_id
where a.exposed_at >= $since and a.exposed_at < $until
order by a.exposed_at, v.user_id
