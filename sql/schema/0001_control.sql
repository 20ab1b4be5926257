-- what was asked for and how far the data is complete
-- reads: nothing; yields: specs, pulls

create table specs (
    experiment varchar not null,
    spec_hash varchar not null,
    spec json not null,            -- the validated spec, defaults filled in
    first_used_at timestamptz not null
);

-- One row per (experiment, source, window start): the control row that a load updates first. Two
-- concurrent first pulls of a window would both commit without that conflict.
create table pulls (
    experiment varchar not null,
    source varchar not null,       -- 'requests', 'exposures', 'outcomes', 'conversions'
    window_start timestamptz not null,
    window_end timestamptz not null,
    generation integer not null,   -- how often the window was loaded
    row_count bigint not null,
    targets_up bigint not null,    -- good scrapes seen in the window; fewer never replace more
    warnings varchar[] not null,
    selection varchar not null default '',  -- hash of what the spec selected; another: load again
    primary key (experiment, source, window_start)
);
