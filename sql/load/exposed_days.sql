-- keeps how many users were first exposed on some days, or on all, which it then replaces
-- reads: what is filled in (counted: the statement aggregate/users_by_variant); writes: exposed_days;
--   parameters: experiment, asked
insert into exposed_days (experiment, asked, exposed_on, split, variant, dimension, segment, users)
select
    $experiment,
    $asked,
    exposed_on,
    split,
    variant,
    dimension,
    segment,
    users
from (
{counted}
) as counted
