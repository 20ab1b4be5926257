-- one row: how many users there are, and the value that a share of them doesn't exceed
-- reads: final_values; parameters: share; lists filled in: value (a column of final_values)
select
    count(*) as users,
    quantile_disc({value}, $share) as cap
from final_values
