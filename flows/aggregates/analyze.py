"""From aggregates to every answer that applies, through the scorecard that looks use too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from analysis.arrays import FloatArray
from analysis.fixed.comparison import Sample
from analysis.fixed.share_tests import MOST_EXACT_USERS, ShareTests, share_tests
from analysis.scorecard.bayes import BetaPrior, NormalPrior, beta_posterior
from analysis.scorecard.one_direction import in_one_direction
from analysis.scorecard.scorecard import Cells, anytime_bounds, make_scorecard
from flows.aggregates.across_variants import over_variants, segments_differ
from flows.aggregates.analyzed_document import AnalyzedRow, ScorecardDocument
from flows.aggregates.further_answers import Asked, further_answers
from flows.aggregates.group_estimates import Estimated, estimate
from flows.aggregates.groups import Group, Place, place_of
from flows.aggregates.looks import (
    DEFAULT_USERS,
    Series,
    Tuning,
    by_place,
    falls,
    over_looks,
    series_key,
)
from flows.aggregates.unavailable import unavailable_methods
from flows.formats.problems import file_error
from flows.formats.text import counted
from flows.ingest.sources.aggregate_rows import AggregateRow
from flows.look.scorecard_document import Interval, PosteriorDocument, row_of

# The exact posterior of one share takes 3 ms.
_MOST_POSTERIORS = 300
# Exact tests of one table of 100 users each take 10 ms.
_MOST_EXACT = 300


def analyze(
    rows: Sequence[AggregateRow],
    path: Path,
    *,
    baseline: str | None = None,
    alpha: float = 0.05,
    tuning: Tuning | None = None,
    prior: NormalPrior | None = None,
    asked: Asked | None = None,
) -> ScorecardDocument:
    """Every candidate against its baseline: the named variant, else the first one of its metric.

    Of several looks (rows with as_of) the rows are those of the last one, and over_looks says what
    all of them say together.
    Raises InputError where a metric has no baseline, no candidate, or rows that contradict, and
    where something is asked of a metric that isn't there.
    """
    asked, tuning = asked or Asked(), tuning or Tuning()
    _check_names(rows, path, asked)
    looks = by_place(rows, path, baseline)
    estimated = estimate([groups[-1] for groups in looks.values()])
    identities, cells, removed = _cells(estimated)
    users = _tuned(looks, identities, tuning)
    n_opt = np.array([DEFAULT_USERS if each is None else each for each in users])
    series = _series(looks, dict(zip(map(series_key, identities), n_opt, strict=True)), alpha)
    card = make_scorecard(cells, alpha=alpha, n_opt=n_opt, prior=prior or NormalPrior())
    posteriors = _share_posteriors(cells, alpha)
    other_p, tests = _tests_of_shares(cells)
    limits = (*_remarks(rows, looks), *_limits(tests, cells, users))
    further = further_answers(
        identities, cells, card, plain=np.isnan(removed), alpha=alpha, n_opt=n_opt, asked=asked
    )
    found = []
    for i, identity in enumerate(identities):
        row = row_of(
            identity,
            cells,
            card,
            i,
            variance_removed=None if np.isnan(removed[i]) else float(removed[i]),
            share_posterior=posteriors[i],
            tightest_at_users=float(n_opt[i]),
            other_p=other_p[i],
        )
        analyzed = AnalyzedRow(**dict(row), further=further[i])
        found.append(_over_all_looks(series.get(series_key(identity)), analyzed))
    place = {name: i for i, name in enumerate(dict.fromkeys(map(place_of, rows)))}
    asked_users = tuning.users or DEFAULT_USERS
    whole = list(over_variants(estimated, alpha=alpha, n_opt=asked_users))
    for answers in (found, whole):
        answers.sort(key=lambda row: place[row.experiment, row.metric, row.segment])
    return ScorecardDocument(
        alpha=alpha,
        tightest_at_users=tuning.users,
        limits=(*limits, *unavailable_methods(found, whole)),
        rows=tuple(found),
        over_variants=tuple(whole),
        over_looks=tuple(over_looks(identities, series)),
        segments=tuple(segments_differ(estimated, alpha=alpha, n_opt=asked_users)),
    )


def _tuned(
    looks: Mapping[Place, Sequence[Group]], identities: Sequence[Mapping[str, str]], tuning: Tuning
) -> list[float | None]:
    """By comparison, the users at which its bounds are tightest, if anything says how many."""
    found = []
    for one in identities:
        groups = looks[one["experiment"], one["metric"], one["segment"]]
        place = groups[0].variants.index(one["candidate"])
        found.append(tuning.users_of(groups, place))
    return found


def _series(
    looks: Mapping[Place, Sequence[Group]], n_opt: Mapping[tuple[str, ...], float], alpha: float
) -> dict[tuple[str, ...], Series]:
    """The bounds of every comparison that has several looks."""
    estimated = estimate([one for groups in looks.values() if len(groups) > 1 for one in groups])
    if not estimated:
        return {}
    identities, cells, _ = _cells(estimated)
    keys = [series_key(one) for one in identities]
    bounds = anytime_bounds(
        cells, alpha=alpha, n_opt=np.array([n_opt.get(key, DEFAULT_USERS) for key in keys])
    )
    as_of = np.concatenate(
        [[g.as_of for g in part.groups] for part in estimated for _ in part.samples[1:]]
    )
    by_key: dict[tuple[str, ...], list[int]] = {}
    for i in np.argsort(as_of, kind="stable").tolist():
        by_key.setdefault(keys[i], []).append(i)
    return {
        key: Series(as_of[rows], in_one_direction(bounds.lower[rows], bounds.upper[rows]))
        for key, rows in by_key.items()
    }


def _over_all_looks(series: Series | None, row: AnalyzedRow) -> AnalyzedRow:
    """The last look's row; where looks contradict each other nothing is claimed at all of them."""
    if series is None or series.together.contradicted is None:
        return row
    unbounded = Interval(lower=-np.inf, upper=np.inf, relative_lower=-np.inf, relative_upper=np.inf)
    changed = {"anytime": unbounded, "log_e": 0.0, "anytime_p": 1.0, "discovery": False}
    return row.model_copy(update={**changed, "further": row.further.without_sequential(unbounded)})


def _check_names(rows: Sequence[AggregateRow], path: Path, asked: Asked) -> None:
    metrics = {row.metric for row in rows}
    unknown = [name for name in (*asked.margins, *asked.weights) if name not in {"", *metrics}]
    if unknown:
        problem = f"has no metric {unknown[0]!r}; there are {', '.join(sorted(metrics))}"
        raise file_error(path, 1, problem)


def _cells(estimated: Sequence[Estimated]) -> tuple[list[dict[str, str]], Cells, FloatArray]:
    """Every candidate of every group: who it is, its numbers, and the share of variance removed."""
    pairs = [(part, v) for part in estimated for v in range(1, len(part.samples))]
    identities = [
        {**group.identity, "candidate": group.variants[v]}
        for part, v in pairs
        for group in part.groups
    ]
    experiments = dict.fromkeys(one["experiment"] for one in identities)
    family = {name: i for i, name in enumerate(experiments)}
    cells = Cells(
        Sample.joined([part.samples[0] for part, _ in pairs]),
        Sample.joined([part.samples[v] for part, v in pairs]),
        np.concatenate([np.full(len(part.groups), part.is_share) for part, _ in pairs]),
        np.array([family[one["experiment"]] for one in identities], dtype=np.int64),
        np.concatenate(
            [part.share[:, v] / (part.share[:, 0] + part.share[:, v]) for part, v in pairs]
        ),
    )
    return identities, cells, np.concatenate([part.removed for part, _ in pairs])


def _tests_of_shares(cells: Cells) -> tuple[list[dict[str, float]], ShareTests]:
    """Each cell's p-values by the tests that people know; none of what is no share."""
    kept = np.flatnonzero(cells.is_share)
    tests = share_tests(
        *(s.part(kept) for s in (cells.baseline, cells.candidate)), most_exact=_MOST_EXACT
    )
    answer: list[dict[str, float]] = [{} for _ in cells.is_share]
    for place, i in enumerate(kept):
        by_test = {name: float(values[place]) for name, values in tests.p_values.items()}
        answer[i] = {name: p for name, p in by_test.items() if not np.isnan(p) or name[0] == "z"}
    return answer, tests


def _remarks(rows: Sequence[AggregateRow], looks: Mapping[Place, Sequence[Group]]) -> Iterator[str]:
    """What a file may not have meant: rows that come again, another baseline in each metric."""
    yield from falls(looks)
    again = len(rows) - len(set(rows))
    if again:
        yield (
            f"{counted(again, 'row')} equal to another one in every field: added, as those of "
            "partitions are; remove what the file has twice"
        )
    baselines: dict[str, dict[str, str]] = {}
    for (experiment, metric, _), groups in looks.items():
        baselines.setdefault(experiment, {}).setdefault(groups[0].variants[0], metric)
    for found in baselines.values():
        if len(found) > 1:
            each = ", ".join(f"{variant} ({metric})" for variant, metric in found.items())
            yield f"baselines, the first variant of each metric, differ: {each}; set --baseline"


def _limits(tests: ShareTests, cells: Cells, users: Sequence[float | None]) -> Iterator[str]:
    """What was left out as it takes long, and bounds that nothing was said for."""
    shares = int(cells.is_share.sum())
    if tests.tested < tests.small:
        yield (
            f"exact tests: of the first {tests.tested:,} of {tests.small:,} shares of at most "
            f"{MOST_EXACT_USERS} users ({_MOST_EXACT} different tables)"
        )
    if shares > _MOST_POSTERIORS:
        yield f"exact posteriors: of the first {_MOST_POSTERIORS} of {shares:,} shares"
    if missing := sum(each is None for each in users):
        yield (
            f"bounds at all looks: tuned for {DEFAULT_USERS:,.0f} users in {missing} of "
            f"{len(users)} comparisons, as no expected number is given: set --tightest-at, "
            "or planned_users or as_of in the rows"
        )


def _share_posteriors(cells: Cells, alpha: float) -> list[PosteriorDocument | None]:
    """The exact posterior of the first shares; None for what isn't one."""
    kept = np.flatnonzero(cells.is_share)[:_MOST_POSTERIORS]
    answer: list[PosteriorDocument | None] = [None] * len(cells.is_share)
    if not len(kept):
        return answer
    arms = [s.part(kept) for s in (cells.baseline, cells.candidate)]
    posterior = beta_posterior(
        (arms[0].n, arms[1].n),
        (np.round(arms[0].n * arms[0].mean), np.round(arms[1].n * arms[1].mean)),
        BetaPrior(),
        alpha=alpha,
    )
    for place, i in enumerate(kept):
        answer[i] = PosteriorDocument.of(posterior, place, prior=posterior.prior)
    return answer
