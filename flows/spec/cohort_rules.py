"""Rules of cohorts: labels tell each from every other, and only requests are judged by cohort."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from analysis.plan import Role
from flows.formats.problems import Finding
from flows.spec.cohort_spec import shifted_cohorts
from flows.spec.experiment import Experiment
from flows.spec.recovery import Parts


def check_cohorts(parts: Parts, spec: Experiment) -> Iterator[Finding]:
    """Every broken rule, as far as the parts that it is about are known."""
    if not spec.cohorts or not parts.is_sound("cohorts"):
        return
    for (one, first), (other, second) in combinations(spec.cohorts.items(), 2):
        shared = first.match.keys() & second.match.keys()
        if not any(first.match[label] != second.match[label] for label in shared):
            yield Finding(
                ("cohorts", other, "match"),
                f"doesn't tell it from {one}: a label of both must have another value",
            )
    if not spec.request_metrics:
        yield Finding(("cohorts",), "are of requests: they need a metric of requests")
    for name, metric in spec.metrics.items():
        if name not in spec.request_metrics and metric.role is not Role.INFO:
            yield Finding(
                ("metrics", name),
                "can't be judged by cohort, and pooled over cohorts its variants would differ by "
                "who is in them: set `role: info`, or judge it in an experiment of one cohort",
            )
    if spec.sessions is not None:
        yield Finding(
            ("sessions",),
            "can't be combined with cohorts, which have their own splits: judge the cohort that is "
            "sticky in an experiment of its own, by its labels in `match`",
        )
    if spec.delivery is not None and not shifted_cohorts(spec.cohorts):
        yield Finding(
            ("delivery",),
            "shifts the cohorts that have no split of their own, and each has one: leave out "
            "`split` of the cohort whose route is shifted",
        )
