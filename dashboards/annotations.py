"""Marks over the panels of an experiment: its looks, its stages and what was decided."""

from __future__ import annotations

from grafana_foundation_sdk.models import dashboard as models

from dashboards import queries
from dashboards.experiment_view import ExperimentView
from dashboards.panels import DATASOURCE
from dashboards.promql import equals

# A change is marked at the first step after it.
_STEP = "1m"


class _PrometheusAnnotation(models.AnnotationQuery):
    """With what Grafana's Prometheus takes beside what every datasource does."""

    more: dict[str, object]

    def to_json(self) -> dict[str, object]:
        """The fields as Grafana reads them."""
        return {**super().to_json(), "step": _STEP, **self.more}


def annotations_of(view: ExperimentView) -> models.AnnotationContainer:
    """Decisions and stages are shown; looks can be switched on: there may be one a minute."""
    this = equals(experiment=view.name)
    by = ("decision",)
    decided = queries.own("decision", *this, by=by)
    return models.AnnotationContainer(
        list_val=[
            _annotation(
                "Decisions",
                f"{decided} == 1 unless {queries.own('decision', *this, by=by, offset=_STEP)} == 1",
                "purple",
                titleFormat="{{decision}}",
            ),
            _annotation(
                "Stages",
                f"{queries.own('stage', *this)} != {queries.own('stage', *this, offset=_STEP)}",
                "blue",
                titleFormat="a stage began",
            ),
            _annotation(
                "Looks",
                f"1000 * {queries.own('look_timestamp_seconds', *this)}",
                "text",
                is_shown=False,
                titleFormat="look",
                useValueForTime="on",
            ),
        ]
    )


def _annotation(
    name: str, expr: str, colour: str, *, is_shown: bool = True, **more: object
) -> models.AnnotationQuery:
    mark = _PrometheusAnnotation(
        name=name, datasource=DATASOURCE, enable=is_shown, icon_color=colour, expr=expr
    )
    mark.more = more
    return mark
