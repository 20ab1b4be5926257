"""The HTML report: a page per experiment and an index of the fleet, each a file by itself.

The pages need no script, no network and no other file, say nothing by colour alone, and are the
same for the same verdicts, byte for byte.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from analysis.metric_result import Classification, MetricResult
from analysis.verdict import Decision
from dashboards.effect_charts import confidence_sequences, segment_forests, users_over_time
from dashboards.next_action import harms_beside, next_actions
from dashboards.page_templates import FILES, Site, page_of, rendered
from dashboards.report_charts import latency_ecdf, traffic_charts
from dashboards.report_intervals import interval_bar
from dashboards.report_view import BrokenSpec, ExperimentReport, IndexEntry

INDEX = "index.html"
# What every page of ours begins with.
_BEGINNING = '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'


@dataclass(frozen=True, slots=True)
class _Group:
    """Entries that ask the same of a reader."""

    name: str
    title: str
    entries: Sequence[IndexEntry | BrokenSpec]


def report_files(
    reports: Sequence[ExperimentReport],
    entries: Sequence[IndexEntry],
    folder: Path,
    *,
    broken: Sequence[BrokenSpec] = (),
    site: Site = FILES,
) -> dict[Path, str]:
    """The pages of the reports and the index of all entries, by path; the index last.

    reports: those whose pages are to be made. broken: experiments whose specs can't be read.
    """
    ordered = sorted(reports, key=lambda report: report.verdict.experiment)
    pages = {
        folder / page_of(report.verdict.experiment): experiment_page(report, site)
        for report in ordered
    }
    return pages | {folder / INDEX: index_page(entries, broken, site)}


def is_page_of(experiment: str, text: str) -> bool:
    """Whether a text is the page that was published of an experiment."""
    return text.startswith(_BEGINNING) and f'name="experiment" content="{experiment}"' in text


def experiment_page(report: ExperimentReport, site: Site = FILES) -> str:
    """The page of one experiment: for somebody on call, then engineers, then analysts."""
    metrics = sorted(report.verdict.metrics, key=_weight)
    return rendered(
        "experiment.html",
        site=site,
        report=report,
        verdict=report.verdict,
        actions=next_actions(report),
        harms=harms_beside(report.verdict),
        deciding=[metric for metric in metrics if not _is_quiet(metric)],
        quiet=[metric for metric in metrics if _is_quiet(metric)],
        bar=interval_bar,
        charts=traffic_charts(report),
        ecdf=latency_ecdf(report),
        sequences=confidence_sequences(report),
        forests=segment_forests(report),
        users=users_over_time(report),
    )


def index_page(
    entries: Sequence[IndexEntry], broken: Sequence[BrokenSpec] = (), site: Site = FILES
) -> str:
    """Every experiment with its decision and the first reason, those that need somebody first."""
    by_name = sorted(entries, key=lambda one: one.experiment)
    urgent = {
        "rollback": ("to roll back", Decision.ROLLBACK),
        "invalid": ("with data that can't be trusted", Decision.INVALID),
    }
    groups = [
        _Group("broken", "without a readable spec", sorted(broken, key=lambda b: b.experiment)),
        *(
            _Group(name, title, [one for one in by_name if one.decision is decision])
            for name, (title, decision) in urgent.items()
        ),
        _Group("asks", "waiting for a person", [o for o in _held(by_name) if o.asks]),
        _Group("hold", "collecting data", [o for o in _held(by_name) if not o.asks]),
        _Group("promote", "to promote", [o for o in by_name if o.decision is Decision.PROMOTE]),
    ]
    return rendered(
        "index.html",
        site=site,
        groups=[group for group in groups if group.entries],
        newest=max((one.look_at for one in entries), default=None),
    )


def _held(entries: Sequence[IndexEntry]) -> list[IndexEntry]:
    return [one for one in entries if one.decision is Decision.HOLD]


def _is_quiet(metric: MetricResult) -> bool:
    """Whether a metric neither decides nor shows anything."""
    return not metric.role.decides and metric.classification in (
        Classification.PASS,
        Classification.NO_DATA,
    )


def _weight(metric: MetricResult) -> tuple[bool, int]:
    """Failed ones first, then what decides, in the order of the spec."""
    order = (
        Classification.FAIL,
        Classification.UNCERTAIN,
        Classification.NO_DATA,
        Classification.PASS,
    )
    return not metric.role.decides, order.index(metric.classification)
