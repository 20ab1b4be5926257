-- notes what the first look at an experiment rested on, in the transaction that records it
-- writes: seen_looks; parameters: experiment, look_at, inputs, evidence
insert into seen_looks (experiment, look_at, inputs, evidence, written)
values ($experiment, $look_at, $inputs, $evidence, 1)
