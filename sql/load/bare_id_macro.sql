-- makes bare_id(text): what is left of an id without its form; '' where that is too little
-- yields: bare_id, a temporary macro
-- Small letters and digits without zeros in front, and without letters in front of digits: u17,
-- USER-0017 and 17 are alike, and so are numbers of 18 digits and more that are one in floating point,
-- which loses the last of them. It tells what to ask a person, never who is who.
create or replace temporary macro bare_id(written) as
case
    when regexp_full_match(written, '[1-9][0-9]{17,}') then cast(try_cast(written as double) as varchar)
    else
        regexp_replace(
            regexp_replace(lower(written), '[^a-z0-9]', '', 'g'),
            '^(0+|[a-z]+0*)([0-9]+)$',
            '\2'
        )
end
