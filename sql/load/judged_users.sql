-- keeps the first verdict on users without times
-- writes: judged_users; parameters: experiment, plan_start, judged_at, decision, users
insert into judged_users (experiment, plan_start, judged_at, decision, users)
values ($experiment, $plan_start, $judged_at, $decision, $users)
on conflict (experiment, plan_start) do nothing
