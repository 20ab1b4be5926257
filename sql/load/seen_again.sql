-- notes what a later look rested on, in the transaction that records it
-- writes: seen_looks; yields: a row where there was an earlier one; parameters: experiment, look_at,
--   inputs, evidence
update seen_looks
set
    look_at = $look_at,
    inputs = $inputs,
    evidence = $evidence,
    written = written + 1
where experiment = $experiment
returning written
