-- one row: how many users were exposed before the plan's start, and how many of them only then
-- reads: exposures; parameters: experiment, variants (list), start
with users as (
    select
        user_id,
        max(exposed_at) < $start as is_early_only
    from exposures
    where experiment = $experiment and list_contains($variants, variant)
    group by user_id
    having min(exposed_at) < $start
)

select
    count(*) as users,
    count(*) filter (is_early_only) as early_only
from users
