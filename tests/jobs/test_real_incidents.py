"""Real incidents: a service's minutes before an injected fault as stable, those in it as canary.

Nezha (OnlineBoutique): a row a minute; the success rate is an exact fraction of the requests of the
15 s before it, and the operations per second say how many those were. PetShop: a row in five
minutes, with requests and availability. Latency comes as quantiles: from "p90 is above the bound"
follows that at least 10 % were slower, and so many are counted.

Both have few rows per incident. What a confidence sequence on three pairs of buckets can prove is a
gross failure; the rest shows when incidents of a kind are judged together.
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.fixed.comparison import (
    compare_means,
    compare_proportions,
    mean_sample,
    proportion_sample,
)
from analysis.metric_result import Classification, MetricResult
from tests.builders.incident_rows import (
    DATA,
    MISSING,
    QUANTILES,
    Floats,
    Rows,
    has_failed,
    joined,
    judge,
    slower,
)

FAIL, PASS = Classification.FAIL, Classification.PASS

# Nezha.


@dataclass(frozen=True, slots=True)
class Fault:
    """One injected fault, and the minutes before and in it."""

    kind: str
    pod: str
    before: Rows
    during: Rows

    @property
    def failed_share(self) -> float:
        """Share of failed requests that it caused."""
        return float(self.during.failed.sum() / self.during.total.sum())

    @property
    def slow_share(self) -> float:
        """Share of slow requests that it added, at least."""
        return float(
            self.during.slow.sum() / self.during.total.sum()
            - self.before.slow.sum() / self.before.total.sum()
        )


def table(path: Path) -> dict[str, Floats]:
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    texts = {"Time", "ServiceName", "PodName"}
    return {name: np.array([float(r[name]) for r in rows]) for name in rows[0].keys() - texts}


@pytest.fixture(scope="module")
def front() -> Rows:
    """The shop's front, 2022-08-22."""
    folder = DATA / "nezha" / "2022-08-22"
    if not folder.exists():
        pytest.skip(MISSING.format(folder))
    service = table(folder / "front_service.csv")
    (pod,) = folder.glob("frontend-*_metric.csv")
    total = np.round(table(pod)["PodWorkload(Ops)"] * 15)
    quantiles = {level: service[f"Latency{name}(s)"] for name, level in QUANTILES.items()}
    return Rows(
        at_s=service["TimeStamp"],
        total=total,
        failed=np.round(total * (1 - service["SuccessRate(%)"] / 100)),
        slow=slower(total, quantiles, 1.0),
    )


@pytest.fixture(scope="module")
def faults(front: Rows) -> list[Fault]:
    """Three rows before each fault, and the three of its three minutes."""
    path = DATA / "nezha" / "2022-08-22" / "2022-08-22-fault_list.json"
    listed: dict[str, list[dict[str, str]]] = json.loads(path.read_text())
    found = []
    for fault in (fault for hour in listed.values() for fault in hour):
        at = int(fault["inject_timestamp"])
        # Of the 15 s before a row, most must lie in the fault.
        first = int(np.searchsorted(front.at_s, at + 10))
        if first >= 3:
            rows = (front.take(range(first - 3, first)), front.take(range(first, first + 3)))
            found.append(Fault(fault["inject_type"], fault["inject_pod"], *rows))
    return found


def together(faults: Iterable[Fault]) -> dict[str, MetricResult]:
    """Incidents of a kind as one experiment, each with its own minutes before."""
    some = list(faults)
    before, during = joined(f.before for f in some), joined(f.during for f in some)
    return judge(before, during, bucket_s=60)


def test_every_gross_fault_is_found_within_its_three_minutes(faults: list[Fault]) -> None:
    """Gross: it fails or slows more than a quarter of the requests."""
    assert len(faults) == 24
    found = {(f.kind, f.pod.partition("-")[0]) for f in faults if has_failed(judged(f))}
    gross = [f for f in faults if max(f.failed_share, f.slow_share) > 0.25]
    assert found == {(f.kind, f.pod.partition("-")[0]) for f in gross}
    assert found == {
        ("return", "frontend"),
        ("cpu_contention", "frontend"),
        ("cpu_consumed", "frontend"),
        ("network_delay", "currencyservice"),
        ("cpu_consumed", "recommendationservice"),
    }


def judged(fault: Fault) -> dict[str, MetricResult]:
    return judge(fault.before, fault.during, bucket_s=60)


def test_kinds_of_faults_show_when_judged_together(faults: list[Fault]) -> None:
    """By what they do: `return` fails requests, contention and delays slow them."""
    kinds = {f.kind for f in faults}
    harm = {
        kind: {name for name, r in together(f for f in faults if f.kind == kind).items()
               if r.classification is FAIL}
        for kind in kinds
    }  # fmt: skip
    assert harm == {
        "return": {"errors"},
        "cpu_consumed": {"slow"},
        "cpu_contention": {"slow"},
        "network_delay": {"slow"},
        # Three faults with 3 % of errors, in three minutes each: not yet.
        "exception": set(),
    }


@pytest.fixture(scope="module")
def quiet(front: Rows) -> Rows:
    """The sixteen hours after the last fault."""
    found = front.take(np.flatnonzero(front.at_s > 1_661_155_800))
    assert len(found.total) == 950
    assert found.failed.sum() == 0
    return found


def test_three_quiet_minutes_never_look_like_a_fault(quiet: Rows) -> None:
    starts = range(0, len(quiet.total) - 6, 6)
    alarms = [
        has_failed(judge(quiet.take(range(s, s + 3)), quiet.take(range(s + 3, s + 6)), bucket_s=60))
        for s in starts
    ]
    assert (sum(alarms), len(alarms)) == (0, 158)


def test_quiet_hours_never_alarm_at_any_look_and_mostly_pass(quiet: Rows) -> None:
    """Fifteen hours, odd against even minutes, a look every two minutes."""
    passed = Counter[str]()
    for hour in range(15):
        odd, even = (quiet.take(range(60 * hour + i, 60 * hour + 60, 2)) for i in (0, 1))
        for look in range(2, 31):
            upto = range(look)
            results = judge(odd.take(upto), even.take(upto), bucket_s=60, planned=30)
            assert not has_failed(results), (hour, look)
        passed.update(name for name, r in results.items() if r.classification is PASS)
    assert passed["errors"] == 15
    assert passed["slow"] >= 9


# PetShop.


@dataclass(frozen=True, slots=True)
class Issue:
    """One injected issue: the last rows before it, and the first ones in it, of the shop's site.

    latency_*: the mean of each row, in seconds.
    """

    kind: str
    before: Rows
    during: Rows
    latency_before: Floats
    latency_during: Floats


def issue_of(folder: Path) -> Issue:
    """The rows by how they lie to the time of the alarm; those that hold both are in neither."""
    target: dict[str, Any] = json.loads((folder / "target.json").read_text())
    with (folder / "metrics.csv").open(newline="") as file:
        services, metrics, statistics, _, *lines = csv.reader(file)
    keys = list(zip(services, metrics, statistics, strict=True))
    at_s = np.array([float(line[0]) for line in lines])

    def of_site(metric: str, statistic: str) -> Floats:
        column = keys.index(("PetSite", metric, statistic))
        return np.array([float(line[column]) for line in lines])

    total = of_site("requests", "Sum")
    rows = Rows(
        at_s,
        total,
        np.round(total * (1 - of_site("availability", "Average") / 100)),
        slower(total, {q: of_site("latency", n.lower()) for n, q in QUANTILES.items()}, 0.5),
    )
    alarm = float(target["target"]["timestamp"])
    before = np.flatnonzero(at_s + 300 <= alarm + 75)
    during = np.flatnonzero(at_s >= alarm - 10)[:2]
    before, during = before[-len(during) :], during[: len(before)]
    mean_s = of_site("latency", "Average")
    return Issue(
        target["target"]["metric"],
        rows.take(before),
        rows.take(during),
        mean_s[before],
        mean_s[during],
    )


@pytest.fixture(scope="module")
def issues() -> list[Issue]:
    """Those with their truth: eight delays and eight errors, under high and low traffic."""
    folder = DATA / "petshop" / "dataset"
    if not folder.exists():
        pytest.skip(MISSING.format(folder))
    return [issue_of(path) for path in sorted(folder.glob("*/train/issue_*"))]


def error_bound(issue: Issue, before: Rows, during: Rows) -> float:
    """The least rise of the share of errors, one-sided 97.5 %, at a single look."""
    samples = [proportion_sample(r.total.sum(), r.failed.sum()) for r in (before, during)]
    result = compare_proportions(*samples)
    return float(result.interval(result.fixed_multiplier(0.05))[0])


def test_each_error_issue_shows_in_its_counts(issues: list[Issue]) -> None:
    """1 or 2 % of errors in one service behind the site, in at most ten minutes."""
    rises = {
        kind: [error_bound(i, i.before, i.during) > 0.005 for i in issues if i.kind == kind]
        for kind in ("availability", "latency")
    }
    assert (sum(rises["availability"]), len(rises["availability"])) == (8, 8)
    assert (sum(rises["latency"]), len(rises["latency"])) == (0, 8)


def test_first_two_rows_of_no_issue_differ(issues: list[Issue]) -> None:
    """Where both lie before the issue."""
    pairs = [i for i in issues if len(i.before.total) == 2]
    assert len(pairs) >= 8
    for issue in pairs:
        assert error_bound(issue, issue.before.take([0]), issue.before.take([1])) <= 0.005


def test_error_issues_are_found_together_and_delays_are_not_taken_for_errors(
    issues: list[Issue],
) -> None:
    """Fourteen and twelve pairs of five minutes, by the product's test for requests."""
    found = {}
    for kind in ("availability", "latency"):
        some = [i for i in issues if i.kind == kind]
        before, during = joined(i.before for i in some), joined(i.during for i in some)
        found[kind] = judge(before, during, bucket_s=300)["errors"].classification
    assert found == {"availability": FAIL, "latency": PASS}


def test_delays_raise_the_mean_latency_and_errors_do_not(issues: list[Issue]) -> None:
    """By Welch's test on the rows' means: more than a tenth, with 97.5 % confidence."""
    rises = {}
    for kind in ("availability", "latency"):
        some = [i for i in issues if i.kind == kind]
        means = [
            np.concatenate([getattr(i, name) for i in some])
            for name in ("latency_before", "latency_during")
        ]
        samples = [mean_sample(len(m), m.mean(), m.var(ddof=1)) for m in means]
        result = compare_means(*samples)
        rises[kind] = tuple(
            float(end) for end in result.relative_interval(result.fixed_multiplier(0.05))
        )
    assert rises["latency"][0] > 0.1
    assert rises["availability"][1] < 0.1
