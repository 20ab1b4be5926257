# The newest published marts, with charts:
#   pip install "split-verdict[notebook]"
#   marimo edit notebook.py
import marimo

app = marimo.App(width="medium", app_title="Verdicts")


with app.setup:
    import altair as alt
    import marimo as mo

    from flows.publish.read_marts import MartsNotRead, read_marts


@app.cell
def _():
    # Publishing writes a new file: run this cell again to read it.
    try:
        marts = read_marts(mo.notebook_dir() or ".")
    except MartsNotRead as error:
        mo.stop(True, mo.callout(str(error), kind="warn"))
    mo.md(f"# Verdicts\n\n`{marts.path.name}`; views: {', '.join(marts.views)}")
    return (marts,)


@app.cell
def _(marts):
    latest = marts["latest_verdict"].project(
        "experiment, service, look_at, decision, score, first_reason"
    )
    mo.ui.table(latest.order("experiment").pl(), selection=None)
    return


@app.cell
def _(marts):
    names = [name for (name,) in marts["experiments"].project("experiment").order("1").fetchall()]
    experiment = mo.ui.dropdown(names, value=names[0], label="experiment")
    experiment
    return (experiment,)


@app.cell
def _(experiment, marts):
    def ask(sql):
        """A query's rows of the chosen experiment, as a polars frame; $experiment is its name."""
        return marts.con.sql(sql, params={"experiment": experiment.value}).pl()

    def utc(column):
        """The time axis of charts: a column of the marts, in UTC as they are."""
        return alt.X(column, type="temporal", scale=alt.Scale(type="utc"), title="UTC")

    return ask, utc


@app.cell
def _(ask):
    mo.vstack(
        [
            mo.md("## Metrics at the latest look"),
            mo.ui.table(
                ask("""
                    select metric, candidate, role, classification,
                        round(columns(['baseline_estimate', 'candidate_estimate', 'difference',
                            'difference_lower', 'difference_upper', 'margin']), 6)
                    from metric_results
                    where experiment = $experiment
                    qualify look_at = max(look_at) over ()
                    order by role, metric, candidate
                    """),
                selection=None,
            ),
        ]
    )
    return


@app.cell
def _(ask, utc):
    # The bounds of the first looks are too wide to be drawn beside the others.
    differences = ask("""
        select look_at, metric, candidate, difference, difference_lower, difference_upper
        from metric_results
        where experiment = $experiment and difference is not null and role <> 'signal'
        qualify 4 * row_number() over (partition by metric, candidate order by look_at)
            >= count(*) over (partition by metric, candidate)
        order by look_at
        """)
    at = alt.Chart(differences).encode(x=utc("look_at"), color="candidate:N")
    bounds = at.mark_rule().encode(
        y=alt.Y("difference_lower:Q", title="difference"), y2="difference_upper:Q"
    )
    zero = alt.Chart(differences).mark_rule(strokeDash=[4, 4]).encode(y=alt.datum(0))
    points = at.mark_point(filled=True).encode(
        y="difference:Q", tooltip=["metric", "difference_lower", "difference", "difference_upper"]
    )
    mo.vstack(
        [
            mo.md("## Candidate minus baseline, with bounds, by look"),
            mo.ui.altair_chart(
                alt.layer(bounds, points, zero, data=differences)
                .properties(width=260, height=140)
                .facet("metric:N", columns=3)
                .resolve_scale(y="independent"),
                chart_selection=False,
            ),
        ]
    )
    return


@app.cell
def _(ask, utc):
    # Sums over a minute: a share of one bucket is mostly noise.
    traffic = ask("""
        select time_bucket(interval 1 minute, bucket_start) as minute, variant,
            sum(requests)::double as requests,
            1 - sum(failed) / nullif(sum(answered), 0) as success_rate,
            max(p99_upper_ms) as slowest_p99_ms
        from success_and_latency
        where experiment = $experiment and variant <> 'unattributed'
        group by all
        order by minute
        """)
    mo.stop(traffic.is_empty(), mo.md("This experiment has no request metrics."))
    minute = alt.Chart(traffic).encode(x=utc("minute"), color="variant:N")
    mo.vstack(
        [
            mo.md("## Requests, split, success rate and p99 by minute"),
            mo.ui.altair_chart(
                alt.concat(
                    minute.mark_area().encode(y=alt.Y("requests:Q", title="requests")),
                    minute.mark_area().encode(
                        y=alt.Y("requests:Q", stack="normalize", title="share")
                    ),
                    minute.mark_line().encode(
                        y=alt.Y("success_rate:Q", scale=alt.Scale(zero=False), title="success rate")
                    ),
                    minute.mark_line().encode(
                        y=alt.Y("slowest_p99_ms:Q", title="p99 of the slowest bucket, at most, ms")
                    ),
                    columns=2,
                ),
                chart_selection=False,
            ),
        ]
    )
    return


@app.cell
def _(ask, utc):
    conversions = ask("""
        select day, variant, metric, users, conversion_rate
        from conversions_by_day
        where experiment = $experiment
        order by day
        """)
    mo.stop(conversions.is_empty(), mo.md("This experiment has no users by day."))
    mo.vstack(
        [
            mo.md("## Conversions by day of the first exposure"),
            mo.ui.altair_chart(
                alt.Chart(conversions)
                .mark_line(point=True)
                .encode(x=utc("day"), y="conversion_rate:Q", color="variant:N")
                .properties(width=260, height=140)
                .facet("metric:N", columns=3)
                .resolve_scale(y="independent"),
                chart_selection=False,
            ),
        ]
    )
    return


if __name__ == "__main__":
    app.run()
