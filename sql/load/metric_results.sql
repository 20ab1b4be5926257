-- writes the metrics' results at one look
-- writes: metric_results; parameters: experiment, look_at; lists, one value a metric: metric,
--   candidate, role, classification, baseline_estimate, candidate_estimate, difference, lower, upper,
--   relative_difference, relative_lower, relative_upper, margin, probability_within_margin,
--   baseline_exposure, candidate_exposure, critical
insert into metric_results
select
    $experiment,
    $look_at,
    unnest($metric),
    unnest($candidate),
    unnest($role),
    unnest($classification),
    unnest($baseline_estimate),
    unnest($candidate_estimate),
    unnest($difference),
    unnest($lower),
    unnest($upper),
    unnest($relative_difference),
    unnest($relative_lower),
    unnest($relative_upper),
    unnest($margin),
    unnest($probability_within_margin),
    unnest($baseline_exposure),
    unnest($candidate_exposure),
    unnest($critical)
