-- makes one_form(text): an id or a name in the one form that it has in every format
-- yields: one_form, a temporary macro
-- A whole number that travelled as floating point (17.0) is that number, a UUID is in small letters
-- without braces, and a truth value in small letters. Nothing else is certain: 017 may be another
-- user than 17.
create or replace temporary macro one_form(written) as
case
    when contains(written, '.') then regexp_replace(written, '^(-?[0-9]+)\.0*$', '\1')
    when
        length(written) in (36, 38)
        and regexp_full_match(written, '\{?[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}\}?')
        then lower(trim(written, '{}'))
    when written in ('True', 'TRUE', 'False', 'FALSE') then lower(written)
    else written
end
