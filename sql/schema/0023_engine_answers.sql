-- what an engine that has the users' rows answered at the last pull
-- reads: nothing; yields: engine_answers

-- One row per question. A look asks the same ones, and needs no engine.
create table engine_answers (
    experiment varchar not null,
    question varchar not null,         -- a hash of the statement, and of all that its rows rest on
    answer varchar not null            -- JSON: columns and rows
);
