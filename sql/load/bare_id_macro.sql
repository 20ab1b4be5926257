-- makes bare_id(text): what is left of an id without its form; '' where that is too little
-- yields: bare_id, a temporary macro
-- Small letters and digits without zeros in front, and without letters in front of digits: u17,
-- USER-0017 and 17 are alike. It tells what to ask a person, never who is who.
create or replace temporary macro bare_id(written) as
regexp_replace(
    regexp_replace(lower(written), '[^a-z0-9]', '', 'g'),
    '^(0+|[a-z]+0*)([0-9]+)$',
    '\2'
)
