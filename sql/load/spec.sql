-- remembers a spec the first time it is used
-- writes: specs; parameters: experiment, spec_hash, spec, used_at
insert into specs
select $experiment, $spec_hash, $spec, $used_at
where not exists (
    select 1 from specs where experiment = $experiment and spec_hash = $spec_hash
)
