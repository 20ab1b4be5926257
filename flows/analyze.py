"""From aggregates to every answer that applies, through the scorecard that looks use too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from analysis.bayes import BetaPrior, NormalPrior, beta_posterior
from analysis.comparison import Sample, proportion_sample
from analysis.estimates import Quantity, adjust, sample_of
from analysis.fixed.share_tests import MOST_EXACT_USERS, ShareTests, share_tests
from analysis.post_strata import Stratified, post_stratify
from analysis.scorecard import Cells, make_scorecard
from analysis.sums import Moments
from flows.aggregate_file import AggregateRow
from flows.aggregate_groups import (
    COVARIATE,
    DENOMINATOR,
    VALUE,
    Group,
    Shape,
    groups_of,
    place_of,
)
from flows.scorecard_document import Belief, ScorecardDocument, row_of

FloatArray = NDArray[np.float64]

# The exact posterior of one share takes 3 ms.
_MOST_BELIEFS = 300
# Exact tests of one table of 100 users each take 10 ms.
_MOST_EXACT = 300


@dataclass(frozen=True, slots=True)
class _Compared:
    """Cells of one shape: identities, samples of both arms, shares and variance removed."""

    identities: list[dict[str, str]]
    baseline: Sample
    candidate: Sample
    share: FloatArray
    removed: FloatArray


def analyze(
    rows: Sequence[AggregateRow],
    path: Path,
    *,
    baseline: str | None = None,
    alpha: float = 0.05,
    n_opt: float = 5000.0,
    prior: NormalPrior | None = None,
) -> ScorecardDocument:
    """Every candidate against its baseline: the named variant, else the first one of its metric.

    Raises SpecError where a metric has no baseline, no candidate, or rows that contradict.
    """
    shapes: dict[Shape, list[Group]] = {}
    for group in groups_of(rows, path, baseline):
        shapes.setdefault(group.shape, []).append(group)
    parts = [_compare(groups) for groups in shapes.values()]
    identities = [identity for part in parts for identity in part.identities]
    families = {
        name: i for i, name in enumerate(dict.fromkeys(i["experiment"] for i in identities))
    }
    plain = np.concatenate([np.isnan(part.removed) for part in parts])
    is_share = np.array([each["type"] == "proportion" for each in identities]) & plain
    cells = Cells(
        _joined([part.baseline for part in parts]),
        _joined([part.candidate for part in parts]),
        is_share,
        np.array([families[each["experiment"]] for each in identities], dtype=np.int64),
        np.concatenate([part.share for part in parts]),
    )
    removed = np.concatenate([part.removed for part in parts])
    card = make_scorecard(cells, alpha=alpha, n_opt=n_opt, prior=prior or NormalPrior())
    beliefs = _share_beliefs(cells, alpha)
    other_p, tests = _tests_of_shares(cells)
    found = [
        row_of(
            identity,
            cells,
            card,
            i,
            variance_removed=None if np.isnan(removed[i]) else float(removed[i]),
            share_posterior=beliefs[i],
            tightest_at_users=n_opt,
            other_p=other_p[i],
        )
        for i, identity in enumerate(identities)
    ]
    place = {name: i for i, name in enumerate(dict.fromkeys(map(place_of, rows)))}
    found.sort(key=lambda row: place[row.experiment, row.metric, row.segment])
    return ScorecardDocument(
        alpha=alpha,
        tightest_at_users=n_opt,
        limits=tuple(_limits(tests, int(is_share.sum()))),
        rows=tuple(found),
    )


def _compare(groups: Sequence[Group]) -> _Compared:
    """Groups of one shape, all at once."""
    kind, has_covariate, has_strata, variants = groups[0].shape
    moments = [
        Moments(
            *(
                np.stack([getattr(group.moments[v], field) for group in groups])
                for field in ("n", "mean", "covariance")
            )
        )
        for v in range(variants)
    ]
    value = Quantity(VALUE, DENOMINATOR) if kind == "ratio" else Quantity(VALUE)
    removed = np.full(len(groups), np.nan)
    covariates = [Quantity(COVARIATE)] if has_covariate else []
    if has_strata:
        within = [post_stratify(group.strata, value, covariates) for group in groups]
        samples = tuple(_of_variant(within, v) for v in range(variants))
        removed = np.array([each.variance_removed for each in within])
    elif has_covariate:
        adjusted = adjust(moments, value, covariates)
        samples, removed = adjusted.samples, adjusted.variance_removed
    else:
        samples = tuple(sample_of(each, value) for each in moments)
        if kind == "proportion":
            samples = tuple(proportion_sample(s.n, s.n * s.mean) for s in samples)
    share = np.array([group.share for group in groups])
    candidates = range(1, variants)
    return _Compared(
        [
            {**group.identity, "candidate": group.variants[v]}
            for v in candidates
            for group in groups
        ],
        _joined([samples[0]] * (variants - 1)),
        _joined([samples[v] for v in candidates]),
        np.concatenate([share[:, v] / (share[:, 0] + share[:, v]) for v in candidates]),
        np.concatenate([removed] * (variants - 1)),
    )


def _of_variant(within: Sequence[Stratified], v: int) -> Sample:
    samples = [each.samples[v] for each in within]
    return Sample(
        *(np.array([float(getattr(s, field)) for s in samples]) for field in Sample.__slots__)
    )


def _joined(samples: Sequence[Sample]) -> Sample:
    return Sample(
        np.concatenate([s.n for s in samples]),
        np.concatenate([s.mean for s in samples]),
        np.concatenate([s.variance for s in samples]),
    )


def _tests_of_shares(cells: Cells) -> tuple[list[dict[str, float]], ShareTests]:
    """Each cell's p-values by the tests that people know; none of what is no share."""
    kept = np.flatnonzero(cells.is_share)
    tests = share_tests(
        *(part_of(s, kept) for s in (cells.baseline, cells.candidate)), most_exact=_MOST_EXACT
    )
    answer: list[dict[str, float]] = [{} for _ in cells.is_share]
    for place, i in enumerate(kept):
        by_test = {name: float(values[place]) for name, values in tests.p_values.items()}
        answer[i] = {name: p for name, p in by_test.items() if not np.isnan(p) or name[0] == "z"}
    return answer, tests


def _limits(tests: ShareTests, shares: int) -> list[str]:
    """What was left out as it takes long."""
    found = []
    if tests.tested < tests.small:
        found.append(
            f"exact tests: of the first {tests.tested:,} of {tests.small:,} shares of at most "
            f"{MOST_EXACT_USERS} users ({_MOST_EXACT} different tables)"
        )
    if shares > _MOST_BELIEFS:
        found.append(f"exact posteriors: of the first {_MOST_BELIEFS} of {shares:,} shares")
    return found


def part_of(sample: Sample, kept: NDArray[np.intp]) -> Sample:
    """Some cells of a sample."""
    return Sample(sample.n[kept], sample.mean[kept], sample.variance[kept])


def _share_beliefs(cells: Cells, alpha: float) -> list[Belief | None]:
    """The exact posterior of the first shares; None for what isn't one."""
    kept = np.flatnonzero(cells.is_share)[:_MOST_BELIEFS]
    answer: list[Belief | None] = [None] * len(cells.is_share)
    if not len(kept):
        return answer
    arms = [part_of(s, kept) for s in (cells.baseline, cells.candidate)]
    posterior = beta_posterior(
        (arms[0].n, arms[1].n),
        (np.round(arms[0].n * arms[0].mean), np.round(arms[1].n * arms[1].mean)),
        BetaPrior(),
        alpha=alpha,
    )
    for place, i in enumerate(kept):
        answer[i] = Belief.of(posterior, place)
    return answer
