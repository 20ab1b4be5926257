-- writes a part's rows to a Parquet file, in their order, each with what is wrong with it
-- reads: incoming (user_id, name, happened_at, value, experiment, segments as they came)
-- parameters: experiment, has_experiment, staged (path)
-- Text is kept beside a time or a value that can't be read as one (at_text, value_text). Whole
-- numbers that travelled as floating point ("17.0") are the same user as "17".
copy (
    with texts as (
        select
            case
                when typeof(user_id) in ('DOUBLE', 'FLOAT')
                    then nullif(regexp_replace(cast(user_id as varchar), '\.0$', ''), 'nan')
                else nullif(cast(user_id as varchar), '')
            end as user_id,
            case
                when typeof(name) in ('DOUBLE', 'FLOAT')
                    then nullif(regexp_replace(cast(name as varchar), '\.0$', ''), 'nan')
                else nullif(cast(name as varchar), '')
            end as name,
            nullif(trim(cast(happened_at as varchar)), '') as at_text,
            case
                when typeof(happened_at) <> 'VARCHAR'
                    or regexp_matches(cast(happened_at as varchar), '^\s*\d{4}[-/]\d')
                    then try_cast(happened_at as timestamptz)
            end as happened_at,
            nullif(trim(cast(value as varchar)), '') as value_text,
            try_cast(value as double) as value,
            cast(segments as varchar []) as segments,
            not $has_experiment or cast(experiment as varchar) is not distinct from $experiment
                as is_ours
        from incoming
    ),

    judged as (
        select
            is_ours,
            user_id,
            name,
            case when isfinite(happened_at) then happened_at end as happened_at,
            value,
            segments,
            case when happened_at is null or not isfinite(happened_at) then at_text end as at_text,
            case when value is null then value_text end as value_text
        from texts
    )

    select
        is_ours,
        user_id,
        name,
        happened_at,
        value,
        segments,
        at_text,
        value_text,
        is_ours
        and user_id is not null
        and name is not null
        and happened_at is not null
        and coalesce(isfinite(value), false) as is_taken
    from judged
) to $staged (format parquet)
