-- the seconds of a duration as the spec's JSON has it (ISO 8601: P7D, PT1H30M, PT0.5S, P1Y35D)
-- yields: the macro marts.seconds_of, for the views that follow; null for null
create macro marts.seconds_of(duration) as case
    when duration is not null
        then
            coalesce(try_cast(regexp_extract(duration, '(\d+)Y', 1) as double), 0) * 31536000
            + coalesce(try_cast(regexp_extract(duration, '(\d+)D', 1) as double), 0) * 86400
            + coalesce(try_cast(regexp_extract(duration, '(\d+)H', 1) as double), 0) * 3600
            + coalesce(try_cast(regexp_extract(duration, '(\d+)M', 1) as double), 0) * 60
            + coalesce(try_cast(regexp_extract(duration, '(\d+(\.\d+)?)S', 1) as double), 0)
end;
