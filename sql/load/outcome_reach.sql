-- replaces what is kept of which outcomes reach whom
-- writes: outcome_reach; parameters: experiment, asked, known_until, reach
insert into outcome_reach (experiment, asked, known_until, reach)
values ($experiment, $asked, $known_until, $reach)
on conflict (experiment) do update set
    asked = excluded.asked,
    known_until = excluded.known_until,
    reach = excluded.reach
