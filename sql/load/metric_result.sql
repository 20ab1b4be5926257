-- writes one metric's result at one look
-- writes: metric_results; parameters: experiment, look_at, metric, candidate, role,
--   classification, baseline_estimate, candidate_estimate, difference, lower, upper,
--   relative_difference, relative_lower, relative_upper, margin, probability_within_margin,
--   baseline_exposure, candidate_exposure, critical
insert into metric_results
values (
    $experiment, $look_at, $metric, $candidate, $role, $classification,
    $baseline_estimate, $candidate_estimate, $difference, $lower, $upper,
    $relative_difference, $relative_lower, $relative_upper, $margin,
    $probability_within_margin, $baseline_exposure, $candidate_exposure, $critical
)
