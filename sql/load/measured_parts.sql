-- names the parts of one metric that are about to be loaded, where they are new
-- reads: incoming_parts; writes: measured_parts; parameters: experiment, metric
insert into measured_parts
    (part_id, experiment, metric, variant, part)
select
    md5_number_lower(to_json([$experiment, $metric, variant, part])) as part_id,
    $experiment,
    $metric,
    variant,
    part
from incoming_parts
where part_id not in (select known.part_id from measured_parts as known)
