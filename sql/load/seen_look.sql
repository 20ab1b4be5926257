-- notes what a look rested on, in the transaction that records it
-- writes: seen_looks; parameters: experiment, look_at, inputs, evidence
insert into seen_looks (experiment, look_at, inputs, evidence, written)
values ($experiment, $look_at, $inputs, $evidence, 1)
on conflict (experiment) do update set
    look_at = excluded.look_at,
    inputs = excluded.inputs,
    evidence = excluded.evidence,
    written = seen_looks.written + 1
