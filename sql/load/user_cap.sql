-- sets the cap of a quantity; 0 stands until a later percentile is another
-- writes: user_caps; parameters: experiment, quantity, cap
insert or replace into user_caps (experiment, quantity, cap)
values ($experiment, $quantity, $cap)
