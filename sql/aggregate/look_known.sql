-- one row: whether a look is recorded, and whether its spec was used before
-- reads: looks, specs; parameters: experiment, look_at, spec_hash
select
    exists (select 1 from looks where experiment = $experiment and look_at = $look_at) as is_taken,
    exists (select 1 from specs where experiment = $experiment and spec_hash = $spec_hash) as is_used
