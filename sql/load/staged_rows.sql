-- writes a part's rows to a Parquet file, in their order, each with what is wrong with it; it is read at
--   once, and no larger than compressed pages of the first version, which take longer
-- reads: incoming (user_id, name, value, experiment as text; number, a value that came as one;
--   happened_at as it came; segments);
--   yields: the file staged
-- parameters: experiment, has_experiment, names (map from names in the data to the spec's),
--   time_format, unit_us (microseconds of the unit that counts the time since 1970), is_wide (an empty
--   value of a row per user, or NaN, is no outcome), staged (path)
-- Text is kept beside an id, a time or a value that can't be read as one (id_text, at_text,
-- value_text). A value that is missing, NaN or infinite is null. Before 1980 there were no users: such
-- a time is the zero of some program, as are those after 2200 its infinity.
copy (
    with texts as (
        select
            trimmed(user_id) as id_text,
            trimmed(name) as name,
            happened_at as at_came,
            case
                when $unit_us is not null
                    then make_timestamptz(
                        try_cast(
                            try_cast(trimmed(cast(happened_at as varchar)) as decimal(38, 9)) * $unit_us
                            as bigint
                        )
                    )
                when $time_format is not null
                    then cast(try_strptime(trimmed(cast(happened_at as varchar)), $time_format) as timestamptz)
                when
                    typeof(happened_at) <> 'VARCHAR'
                    or regexp_matches(cast(happened_at as varchar), '^\s*\d{4}[-/]\d')
                    then try_cast(happened_at as timestamptz)
            end as happened_at,
            trimmed(value) as value_text,
            number,
            segments,
            trimmed(experiment) as experiment,
            not $has_experiment or trimmed(experiment) is not distinct from $experiment as is_ours
        from incoming
    ),

    read as (
        select
            is_ours,
            experiment,
            id_text,
            case
                when id_text in ('nan', 'NaN', 'NULL', '<NA>', '\N') then null
                else one_form(id_text)
            end as user_id,
            one_form(name) as name,
            at_came,
            case
                when happened_at >= '1980-01-01 00:00:00Z'::timestamptz and happened_at < '2200-01-01 00:00:00Z'::timestamptz
                    then happened_at
            end as happened_at,
            case
                when
                    value_text in ('nan', 'NaN', 'NULL', 'null', 'None', '<NA>', 'NA', 'N/A', '\N')
                    then null
                else value_text
            end as value_text,
            number,
            segments
        from texts
    ),

    judged as (
        select
            is_ours,
            experiment,
            user_id,
            coalesce($names[name], name) as name,
            happened_at,
            case
                when value_text in ('true', 'True', 'TRUE', 't') then 1.0
                when value_text in ('false', 'False', 'FALSE', 'f') then 0.0
                when value_text is not null then try_cast(value_text as double)
                else number
            end as value,
            segments,
            case when contains(id_text, '+') and regexp_full_match(id_text, '-?\d(\.\d+)?[eE]\+\d+') then id_text end
                as id_text,
            case when happened_at is null then trimmed(cast(at_came as varchar)) end as at_text,
            value_text
        from read
    )

    select
        is_ours,
        case when not is_ours then experiment end as other_experiment,
        user_id,
        name,
        happened_at,
        case when isfinite(value) then value end as value,
        segments,
        id_text,
        at_text,
        case when value is null then value_text end as value_text,
        is_ours
        and user_id is not null
        and name is not null
        and happened_at is not null
        and not ($is_wide and (value is null or isnan(value))) as is_taken
    from judged
) to $staged (format parquet, parquet_version v2, compression uncompressed)
