-- one row per outcome of which some belong to nobody who was exposed: how many happened since the first
--   exposure beyond as many as before in the same time, and of these those whose ids have a shape that
--   no exposed user's has, and whether any have one that hardly any user's has, or over a fifth look
--   like numbers that went through floating point; counts are summed before they are scaled, so no
--   order of rows changes it
-- reads: outcomes, users (filled in: a relation of user_id, variant, exposed_at); parameters:
--   experiment, outcomes (list), look_at, each (one id in so many is looked at)
-- Without a past of at least a quarter of the time since, nothing is known of what is usual. It needs
-- load/id_shape_macro.
with sampled_users as (
    select u.user_id
    from {users} as u
    where hash(u.user_id) % cast($each as ubigint) = 0
),

shapes as (
    select
        id_shape(user_id) as shape,
        count(*) / sum(count(*)) over () as share
    from sampled_users
    group by shape
),

times as (
    select
        (select min(exposed_at) from {users} as u) as since,
        min(occurred_at) as first_at,
        $look_at as until
    from outcomes
    where experiment = $experiment and list_contains($outcomes, outcome)
),

usual as (
    select
        since,
        case
            when 4 * (epoch_us(since) - epoch_us(first_at)) < epoch_us(until) - epoch_us(since) then 0.0
            else (epoch_us(until) - epoch_us(since)) / greatest(epoch_us(since) - epoch_us(first_at), 1)
        end as times_before
    from times
),

strangers as (
    select
        o.user_id,
        o.outcome,
        count(*) filter (o.occurred_at >= usual.since and o.value is distinct from 0) as after,
        count(*) filter (o.occurred_at < usual.since and o.value is distinct from 0) as before
    from outcomes as o
    cross join usual
    anti join {users} as u on o.user_id = u.user_id
    where
        o.experiment = $experiment
        and list_contains($outcomes, o.outcome)
        and o.occurred_at <= $look_at
        and hash(o.user_id) % cast($each as ubigint) = 0
    group by o.user_id, o.outcome
),

shaped as (
    select
        strangers.outcome,
        strangers.after,
        strangers.before,
        shapes.shape is null as is_strange,
        coalesce(shapes.share, 0) < 0.01 as is_rare,
        regexp_full_match(strangers.user_id, '[1-9][0-9]{17,}')
        and (
            strangers.user_id like '%00'
            or try_cast(try_cast(strangers.user_id as double) as hugeint) = try_cast(strangers.user_id as hugeint)
        ) as is_rounded
    from strangers
    left join shapes on id_shape(strangers.user_id) = shapes.shape
)

select
    shaped.outcome,
    cast(
        $each * greatest(sum(shaped.after) - sum(shaped.before) * any_value(usual.times_before), 0)
        as double
    ) as strangers,
    cast(
        $each * greatest(
            coalesce(sum(shaped.after) filter (shaped.is_strange), 0)
            - coalesce(sum(shaped.before) filter (shaped.is_strange), 0) * any_value(usual.times_before),
            0
        ) as double
    ) as strange,
    bool_or(shaped.is_rare) or 5 * count(*) filter (shaped.is_rounded) > count(*) as has_other_shapes
from shaped
cross join usual
group by shaped.outcome
order by shaped.outcome
