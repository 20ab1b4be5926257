-- one row per (what is missing, outcome, variant): left out outcomes, and of how many users
-- reads: left_out_outcomes, users (filled in: a relation of user_id, variant, exposed_at); parameters:
--   experiment
-- variant is null for rows without a user, for those of nobody who was exposed, and of users in two
-- variants; outcome is null for rows without a name.
select
    l.lacks,
    l.outcome,
    u.variant,
    cast(sum(l.row_count * l.one_in) as bigint) as row_count,
    cast(count(distinct l.user_id) * max(l.one_in) as bigint) as users
from left_out_outcomes as l
left join {users} as u on l.user_id = u.user_id
where l.experiment = $experiment and (l.user_id is null or u.variant is not null)
group by l.lacks, l.outcome, u.variant
order by l.lacks, l.outcome, u.variant
