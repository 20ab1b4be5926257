-- makes trimmed(text): without the blanks around it; null where nothing else is there
-- yields: trimmed, a temporary macro
create or replace temporary macro trimmed(written) as
nullif(
    case
        when regexp_matches(written, '^[\s\x{a0}\x{feff}]|[\s\x{a0}\x{feff}]$')
            then regexp_replace(written, '^[\s\x{a0}\x{feff}]+|[\s\x{a0}\x{feff}]+$', '', 'g')
        else written
    end,
    ''
)
