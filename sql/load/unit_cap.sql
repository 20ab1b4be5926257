-- sets the cap of a quantity
-- writes: unit_caps; parameters: experiment, quantity, cap
insert into unit_caps (experiment, quantity, cap)
values ($experiment, $quantity, $cap)
