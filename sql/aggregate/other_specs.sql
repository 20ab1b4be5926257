-- one row per spec of an experiment other than the one given: its hash, and what it says
-- reads: specs; parameters: experiment, spec_hash
select
    spec_hash,
    cast(spec as varchar) as spec
from specs
where experiment = $experiment and spec_hash <> $spec_hash
