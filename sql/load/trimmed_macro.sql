-- makes trimmed(text): without the blanks around it; null where nothing else is there
-- yields: trimmed, a temporary macro
-- Most texts begin and end with a printable character of ASCII, which is told sooner than by a pattern.
create or replace temporary macro trimmed(written) as
case
    when written >= '!' and written < '~~' and right(written, 1) between '!' and '~' then written
    else
        nullif(
            regexp_replace(written, '^[\s\x{a0}\x{feff}]+|[\s\x{a0}\x{feff}]+$', '', 'g'),
            ''
        )
end
