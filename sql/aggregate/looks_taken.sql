-- one row per look that was taken by the same spec and software: its time
-- reads: looks; parameters: experiment, spec_hash, software_version
select look_at
from looks
where
    experiment = $experiment
    and spec_hash = $spec_hash
    and software_version = $software_version
