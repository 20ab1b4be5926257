-- what the last look at each experiment rested on: where nothing of it changed, the look stands

create table seen_looks (
    experiment varchar primary key,
    look_at timestamptz not null,
    inputs varchar not null,           -- hash of software, spec and files; '' where it can't be told
    evidence varchar not null,         -- hash of what the warehouse held then
    written integer not null           -- how often looks at the experiment were recorded
);
