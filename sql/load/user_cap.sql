-- sets the cap of a quantity
-- writes: user_caps; parameters: experiment, quantity, cap
insert into user_caps (experiment, quantity, cap)
values ($experiment, $quantity, $cap)
