-- says for which variants and segments the users hold, and up to when
-- writes: user_state; parameters: experiment, asked, known_until
insert into user_state (experiment, asked, known_until)
values ($experiment, $asked, $known_until)
