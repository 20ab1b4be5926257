"""The dashboard of the pipeline itself: how old its data is, and how its runs went."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Dashboard, Panel

from dashboards import panels, queries
from dashboards.experiment_view import PIPELINE_UID
from dashboards.layout import Section, board
from dashboards.panels import Query
from dashboards.promql import Match
from dashboards.state_timeline import states
from dashboards.variables import experiments_variables
from dashboards.verdict_panels import checks_panel

_CHOSEN = Match("experiment", "=~", "$experiment")
_INTERVAL_S = 60
_HOUR, _QUARTER = 3600.0, 900.0


def pipeline_dashboard() -> Dashboard:
    """Ages, run times, failures, the warehouse's size and how long runs waited for it."""
    return board(
        "Pipeline of the verdicts",
        PIPELINE_UID,
        "Whether verdicts can be current: data, looks, runs and the warehouse.",
        experiments_variables(),
        (Section("Freshness", _freshness()), Section("Runs", _runs())),
    )


def _freshness() -> tuple[tuple[Panel, ...], ...]:
    def ages(title: str, said: str, name: str, limit: float) -> Panel:
        query = Query(queries.age(name, _CHOSEN), "{{experiment}}")
        return panels.time_series(
            title,
            said,
            [query],
            panels.SECONDS,
            interval_s=_INTERVAL_S,
            thresholds=panels.above_is_bad(limit),
        )

    waits = Query(queries.own("waits_for_person", _CHOSEN), "{{experiment}}")
    return (
        (
            ages(
                "Age of the data",
                "Since when requests are known without a hole, counted from now.",
                "data_timestamp_seconds",
                _QUARTER,
            ),
            ages(
                "Age of the last look",
                "A verdict says nothing of the time after its look.",
                "look_timestamp_seconds",
                _HOUR,
            ),
        ),
        (
            checks_panel(_CHOSEN),
            states(
                "Waits for a person",
                "A delivery asks for an approval, or a signal or a pod holds.",
                [waits],
                ((0, "no", panels.GREEN), (1, "waits", panels.AMBER)),
            ),
        ),
    )


def _runs() -> tuple[tuple[Panel, ...], ...]:
    def lines(title: str, said: str, query: Query, unit: panels.PanelUnit) -> Panel:
        return panels.time_series(title, said, [query], unit, interval_s=_INTERVAL_S)

    last = Query(f"time() - {queries.of_run('run_timestamp_seconds')}", "last run")
    failed = Query(queries.of_run("run_failed", "experiment"), "{{experiment}}")
    return (
        (
            lines("Age of the last run", "Since a run ended, well or not.", last, panels.SECONDS),
            lines(
                "Run time",
                "How long the last run took, from its specs to its report.",
                Query(queries.of_run("run_duration_seconds"), "run"),
                panels.SECONDS,
            ),
            lines(
                "Failures of the last run",
                "1 for each experiment, or step, that failed. Without any, nothing is drawn.",
                failed,
                panels.COUNT,
            ),
        ),
        (
            lines(
                "Experiments of the last run",
                "How many it was to judge.",
                Query(queries.of_run("run_experiments"), "experiments"),
                panels.COUNT,
            ),
            lines(
                "Size of the warehouse",
                "The DuckDB file that the flows write.",
                Query(queries.of_run("warehouse_size_bytes"), "warehouse"),
                panels.BYTES,
            ),
            lines(
                "Waits for the warehouse",
                "How long the last run waited while others wrote or read.",
                Query(queries.of_run("warehouse_wait_seconds"), "waited"),
                panels.SECONDS,
            ),
        ),
    )
