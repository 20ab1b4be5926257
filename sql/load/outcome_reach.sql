-- keeps which outcomes reach whom
-- writes: outcome_reach; parameters: experiment, asked, known_until, reach
insert into outcome_reach (experiment, asked, known_until, reach)
values ($experiment, $asked, $known_until, $reach)
