-- tables of users are named for what they hold
-- reads: tables of 0003, 0005 and 0007; yields: exposed_users, user_parts, user_shifts, user_sums, user_caps, user_state, user_rates
alter table unit_parts rename to user_parts;
alter table unit_shifts rename to user_shifts;
alter table unit_users rename to exposed_users;
alter table unit_sums rename to user_sums;
alter table unit_caps rename to user_caps;
alter table unit_state rename to user_state;
alter table unit_rates rename to user_rates;
