-- looks, what each metric showed, and the verdict
-- reads: nothing; yields: looks, metric_results, verdicts

create table looks (
    experiment varchar not null,
    look_at timestamptz not null,
    window_start timestamptz not null,
    watermark timestamptz,
    spec_hash varchar not null,
    software_version varchar not null,
    primary key (experiment, look_at)
);

-- One row per (look, metric, candidate).
create table metric_results (
    experiment varchar not null,
    look_at timestamptz not null,
    metric varchar not null,
    candidate varchar not null,
    role varchar not null,
    classification varchar not null,   -- 'pass', 'fail', 'uncertain', 'no_data'
    baseline_estimate double,
    candidate_estimate double,
    difference double,
    lower double,
    upper double,
    relative_difference double,
    relative_lower double,
    relative_upper double,
    margin double,
    probability_within_margin double,
    baseline_exposure double not null,  -- requests or users
    candidate_exposure double not null,
    critical boolean not null
);

create table verdicts (
    experiment varchar not null,
    look_at timestamptz not null,
    decision varchar not null,         -- 'promote', 'hold', 'rollback', 'invalid'
    score double,
    reasons varchar[] not null,
    verdict json not null,
    primary key (experiment, look_at)
);
