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
from analysis.fixed.exact import boschloo, fisher
from analysis.fixed.proportions import z_test
from analysis.scorecard import Cells, make_scorecard
from analysis.sums import Moments, Sums
from flows.aggregate_file import AggregateRow
from flows.scorecard_document import Belief, ScorecardDocument, row_of
from flows.spec_file import Problem, SpecError

FloatArray = NDArray[np.float64]

# The exact posterior of one share takes 3 ms.
_MOST_BELIEFS = 300
# An exact test of more users takes seconds, and says what a normal one does.
_MOST_EXACT_USERS = 100

_VALUE, _DENOMINATOR, _COVARIATE = range(3)


@dataclass(frozen=True, slots=True)
class _Group:
    """The variants of one metric and segment, baseline first.

    share: each variant's configured share of the users; nan where none is said.
    """

    identity: dict[str, str]
    variants: tuple[str, ...]
    moments: tuple[Moments, ...]
    share: tuple[float, ...]
    has_covariate: bool

    @property
    def shape(self) -> tuple[str, bool, int]:
        """Groups of one shape are computed together."""
        return self.identity["type"], self.has_covariate, len(self.variants)


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
    shapes: dict[tuple[str, bool, int], list[_Group]] = {}
    for group in _groups(rows, path, baseline):
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
    found = [
        row_of(
            identity,
            cells,
            card,
            i,
            variance_removed=None if np.isnan(removed[i]) else float(removed[i]),
            share_posterior=beliefs[i],
            other_p=_other_tests(cells, i) if is_share[i] else None,
        )
        for i, identity in enumerate(identities)
    ]
    place = {name: i for i, name in enumerate(dict.fromkeys(map(_place, rows)))}
    found.sort(key=lambda row: place[row.experiment, row.metric, row.segment])
    return ScorecardDocument(alpha=alpha, tightest_at_users=n_opt, rows=tuple(found))


def _place(row: AggregateRow) -> tuple[str, str, str]:
    return row.experiment, row.metric, row.segment


def _groups(rows: Sequence[AggregateRow], path: Path, baseline: str | None) -> list[_Group]:
    """The rows by metric and segment, those of one variant added."""
    by_place: dict[tuple[str, str, str], dict[str, list[AggregateRow]]] = {}
    for row in rows:
        by_place.setdefault(_place(row), {}).setdefault(row.variant, []).append(row)
    problems, found = [], []
    for (experiment, metric, segment), variants in by_place.items():
        name = " ".join(part for part in (experiment, metric, segment) if part)
        wrong = _contradiction(variants, baseline)
        if wrong is not None:
            problems.append(Problem(str(path), _row_number(rows, variants), name, wrong))
            continue
        first = baseline or next(iter(variants))
        order = (first, *(each for each in variants if each != first))
        any_row = variants[first][0]
        found.append(
            _Group(
                {
                    "experiment": experiment,
                    "metric": metric,
                    "segment": segment,
                    "type": any_row.type,
                    "baseline": first,
                },
                order,
                tuple(_moments(variants[each]) for each in order),
                tuple(_share(variants[each]) for each in order),
                any_row.has_covariate,
            )
        )
    if problems:
        raise SpecError(problems)
    return found


def _row_number(rows: Sequence[AggregateRow], variants: dict[str, list[AggregateRow]]) -> int:
    """Where the metric's first row stands in the file, from 1."""
    first = next(iter(variants.values()))[0]
    return next(i for i, row in enumerate(rows, start=1) if row is first)


def _contradiction(variants: dict[str, list[AggregateRow]], baseline: str | None) -> str | None:
    """What is wrong with the rows of one metric, if anything."""
    if baseline is not None and baseline not in variants:
        return f"has no variant {baseline!r}, the baseline; there are {', '.join(variants)}"
    if len(variants) < 2:
        return f"has only the variant {next(iter(variants))!r}; it needs a baseline and a candidate"
    rows = [row for same in variants.values() for row in same]
    if len({row.type for row in rows}) > 1:
        return f"is of several types: {', '.join(sorted({row.type for row in rows}))}"
    if len({row.has_covariate for row in rows}) > 1:
        return "has a covariate in some rows only; give it in all or none"
    if any(len({row.share for row in same}) > 1 for same in variants.values()):
        return "has several configured shares for one variant"
    return None


def _share(rows: Sequence[AggregateRow]) -> float:
    share = rows[0].share
    return float("nan") if share is None else share


def _moments(rows: Sequence[AggregateRow]) -> Moments:
    total = _sums(rows[0])
    for row in rows[1:]:
        total = total + _sums(row)
    return total.moments


def _sums(row: AggregateRow) -> Sums:
    """One row as sums of value, denominator and covariate; 0 where there is none."""
    squares = row.sum_squares
    if squares is None:  # of zeros and ones about the shift
        ones = row.sum + row.n * row.shift
        squares = ones * (1 - row.shift) ** 2 + (row.n - ones) * row.shift**2
    products = np.zeros((3, 3))
    products[_VALUE, _VALUE] = squares
    products[_DENOMINATOR, _DENOMINATOR] = row.denominator_sum_squares or 0.0
    products[_COVARIATE, _COVARIATE] = row.covariate_sum_squares or 0.0
    for i, j, value in (
        (_VALUE, _DENOMINATOR, row.denominator_product),
        (_VALUE, _COVARIATE, row.covariate_product),
        (_DENOMINATOR, _COVARIATE, row.covariate_denominator_product),
    ):
        products[i, j] = products[j, i] = value or 0.0
    return Sums(
        np.array(float(row.n)),
        np.array([row.shift, row.denominator_shift, row.covariate_shift]),
        np.array([row.sum, row.denominator_sum or 0.0, row.covariate_sum or 0.0]),
        products,
    )


def _compare(groups: Sequence[_Group]) -> _Compared:
    """Groups of one shape, all at once."""
    kind, has_covariate, variants = groups[0].shape
    moments = [
        Moments(
            *(
                np.stack([getattr(group.moments[v], field) for group in groups])
                for field in ("n", "mean", "covariance")
            )
        )
        for v in range(variants)
    ]
    value = Quantity(_VALUE, _DENOMINATOR) if kind == "ratio" else Quantity(_VALUE)
    removed = np.full(len(groups), np.nan)
    if has_covariate:
        adjusted = adjust(moments, value, [Quantity(_COVARIATE)])
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


def _joined(samples: Sequence[Sample]) -> Sample:
    return Sample(
        np.concatenate([s.n for s in samples]),
        np.concatenate([s.mean for s in samples]),
        np.concatenate([s.variance for s in samples]),
    )


def _other_tests(cells: Cells, i: int) -> dict[str, float]:
    """Two-sided p-values of a share by the tests that people know; exact ones of few users."""
    users = (float(cells.baseline.n[i]), float(cells.candidate.n[i]))
    means = (float(cells.baseline.mean[i]), float(cells.candidate.mean[i]))
    successes = (users[0] * means[0], users[1] * means[1])
    found = {
        "z_pooled": float(z_test(users, successes, pooled=True).p_value),
        "z_unpooled": float(z_test(users, successes, pooled=False).p_value),
    }
    if min(users) > 0 and max(users) <= _MOST_EXACT_USERS:
        whole = (round(users[0]), round(users[1])), (round(successes[0]), round(successes[1]))
        found |= {"fisher": fisher(*whole), "boschloo": boschloo(*whole)}
    return found


def _share_beliefs(cells: Cells, alpha: float) -> list[Belief | None]:
    """The exact posterior of the first shares; None for what isn't one."""
    kept = np.flatnonzero(cells.is_share)[:_MOST_BELIEFS]
    answer: list[Belief | None] = [None] * len(cells.is_share)
    if not len(kept):
        return answer
    arms = [
        Sample(s.n[kept], s.mean[kept], s.variance[kept]) for s in (cells.baseline, cells.candidate)
    ]
    posterior = beta_posterior(
        (arms[0].n, arms[1].n),
        (np.round(arms[0].n * arms[0].mean), np.round(arms[1].n * arms[1].mean)),
        BetaPrior(),
        alpha=alpha,
    )
    for place, i in enumerate(kept):
        answer[i] = Belief.of(posterior, place)
    return answer
