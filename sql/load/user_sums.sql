-- stores sums of a cohort
-- writes: user_sums; parameters: experiment, cohort, exposed_on, split, variant, dimension,
--   segment, users, totals, products, maxima, converted, amounts (the last eleven lists of equal
--   length)
insert into user_sums
    (experiment, cohort, exposed_on, split, variant, dimension, segment, users, totals, products,
        maxima, converted, amounts)
select
    $experiment,
    $cohort,
    unnest($exposed_on),
    unnest($split),
    unnest($variant),
    unnest($dimension),
    unnest($segment),
    unnest($users),
    unnest($totals),
    unnest($products),
    unnest($maxima),
    unnest($converted),
    unnest($amounts)
