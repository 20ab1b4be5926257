-- what a person has approved of signals that held
-- reads: nothing; yields: signal_approvals

-- One row per approval of one signal of one candidate. Looks of the same plan from then on allow the
-- harm that was possible when it was approved, and no more.
create table signal_approvals (
    experiment varchar not null,
    metric varchar not null,
    candidate varchar not null,
    approved_at timestamptz not null,
    allowed double not null,           -- in the metric's unit
    detail varchar not null            -- who approved it, and why
);
