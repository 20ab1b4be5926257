-- under which of the plan's splits the users of a kept sum were first exposed
-- reads: nothing; yields: unit_sums.split

-- A ramp's users are compared within the split that they came under; 0 is the plan's first one. Sums
-- from before belong to plans whose split never changed, or are made anew under another identity.
alter table unit_sums add column split smallint default 0;
