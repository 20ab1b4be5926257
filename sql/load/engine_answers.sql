-- keeps what an engine answered at a pull
-- writes: engine_answers; parameters: experiment, questions, answers (lists of equal length)
insert into engine_answers (experiment, question, answer)
select
    $experiment,
    unnest($questions),
    unnest($answers)
