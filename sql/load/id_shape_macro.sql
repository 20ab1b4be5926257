-- makes id_shape(text): which kinds of characters an id has, with what it begins, and how long it is
--   where it is written in base 16
-- yields: id_shape, a temporary macro
create or replace temporary macro id_shape(written) as
concat_ws(
    '|',
    regexp_matches(written, '^0'),
    regexp_matches(written, '^[a-zA-Z]'),
    regexp_matches(written, '[0-9]'),
    regexp_matches(written, '[a-z]'),
    regexp_matches(written, '[A-Z]'),
    regexp_replace(written, '[0-9a-zA-Z]+', '', 'g'),
    case when regexp_full_match(written, '[0-9a-fA-F-]{24,}') then length(written) else 0 end
)
