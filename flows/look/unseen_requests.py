"""Parts of a plan of which the source knows nothing: it began later, or lost what it had."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from analysis.evidence import RequestEvidence
from analysis.plan import Plan
from flows.formats.time import instant
from flows.warehouse.statements import Connection, run

# Shorter than that is a scrape or two; so large a share of a version's requests is too much.
_LEAST_MS, _LEAST_BUCKETS, _MOST = 60_000, 4, 0.02
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class UnseenRequests:
    """A sentence on what nobody saw of a variant's requests, and whether it is too much."""

    said: str
    is_too_much: bool


def unseen_requests(
    con: Connection, plan: Plan, requests: RequestEvidence | None, *, at_ms: int
) -> Iterator[UnseenRequests]:
    """By variant, where counters were already running when their first sample was taken.

    A Prometheus that keeps less than the plan, was begun anew within it, or was added: how requests
    ended before isn't known, and no scrape was missed that would tell of them.
    """
    if requests is None:
        return
    until_ms = min(at_ms, plan.end_ms)
    least_ms = max(_LEAST_MS, _LEAST_BUCKETS * plan.bucket_ms)
    asked = {"experiment": plan.experiment, "until": instant(until_ms)}
    # Mostly there is none, and which spans they end takes five times as long to plan.
    since = instant(plan.start_ms + least_ms)
    if run(con, "aggregate/unknown_pasts", **asked, since=since).fetchone() is None:
        return
    rows = run(con, "aggregate/unseen_spans", **asked, since=instant(plan.start_ms)).fetchall()
    shares: dict[str, dict[str, float]] = {}
    for variant, seen in requests.requests.items():
        spans = [row[1:] for row in rows if row[0] == variant and row[2] - row[1] > least_ms]
        unseen_ms, counted = sum(end - begin for begin, end, _ in spans), float(seen.sum())
        if not spans or not counted:
            continue
        # At the rate of the time that was seen; a counter has no more than it has counted.
        rate = counted / max(until_ms - plan.start_ms - unseen_ms, plan.bucket_ms)
        unseen = sum(min(rate * (end - begin), before) for begin, end, before in spans)
        shares.setdefault(_shown(spans), {})[variant] = unseen / (unseen + counted)
    for when, of_variants in shares.items():
        share = max(of_variants.values())
        yield UnseenRequests(
            f"nothing is known of requests of {' and '.join(of_variants)} from {when} UTC, about "
            f"{share:.1%} of all: the source has no samples of then. Set plan.start after that, or "
            "name a source that has them",
            share > _MOST,
        )


def _shown(spans: Sequence[tuple[int, int, float]]) -> str:
    return " and from ".join(
        f"{instant(begin):%Y-%m-%d %H:%M:%S} to {instant(end):%Y-%m-%d %H:%M:%S}"
        for begin, end, _ in spans[:_SHOWN]
    )
