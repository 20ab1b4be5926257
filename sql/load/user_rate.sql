-- sets how fast users come, once
-- writes: user_rates; parameters: experiment, users_per_day, known_until
insert into user_rates (experiment, users_per_day, known_until)
values ($experiment, $users_per_day, $known_until)
