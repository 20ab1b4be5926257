"""How far each variant's share of the traffic is from the configured one: all stages, and each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from analysis.arrays import FloatArray
from analysis.evidence import StageCounts
from analysis.sequential.ramp import compare_steps

# Deviations that are looked for, in log odds: from the tolerance, at least this, to 1.
_LEAST_SPREAD, _LARGEST_SPREAD, _SPREADS = 0.003, 1.0, 3


@dataclass(frozen=True, slots=True)
class Deviations:
    """Log odds of each variant against the rest, over all stages and in each.

    keys: the variant and the stage (None: all) of each row. lower, upper: float64[rows], all rows
    hold together. log_e: of all variants together.
    """

    keys: tuple[tuple[str, int | None], ...]
    lower: FloatArray
    upper: FloatArray
    log_e: float
    spreads: tuple[float, ...]


def deviations_of(
    wholes: Sequence[Sequence[StageCounts]], tolerance: float, alpha: float
) -> Iterator[Deviations]:
    """Tests each variant against the rest, over all stages (row by row) and in each one.

    wholes: with the same variants in the same stages.
    """
    splits = [
        [(i, stage) for i, stage in enumerate(stages) if len(stage.shares) > 1] for stages in wholes
    ]
    split = splits[0]
    names = sorted({name for _, stage in split for name in stage.shares})
    # With two variants, one against the rest is the other way round the same test.
    tests = 1 if len(names) == 2 else len(names)
    keys = tuple((name, i) for name in names for i in (None, *(i for i, _ in split)))
    counts = (zip(*_rows(names, each), strict=True) for each in splits)
    rest, own, share = (np.array(rows) for rows in zip(*counts, strict=True))
    together = np.array([stage is None for _, stage in keys])
    level = alpha / 2 / tests
    least = float(np.clip(np.log1p(tolerance), _LEAST_SPREAD, _LARGEST_SPREAD))
    spreads = tuple(np.geomspace(least, _LARGEST_SPREAD, _SPREADS).tolist())
    test = compare_steps(
        rest,
        own,
        share,
        spreads=spreads,
        alpha=np.where(together, level, level / len(split)),
        apart=True,
    )
    by_variant = test.log_e.reshape(len(wholes), len(names), -1)
    either = np.logaddexp(by_variant[..., 0], by_variant[..., 1:].sum(axis=-1)) - np.log(2)
    log_e = np.logaddexp.reduce(either, axis=-1) - np.log(len(names))
    for lower, upper, evidence in zip(test.lower, test.upper, log_e.tolist(), strict=True):
        yield Deviations(keys, lower, upper, evidence, spreads)


def _rows(
    names: Sequence[str], split: Sequence[tuple[int, StageCounts]]
) -> Iterator[tuple[list[float], list[float], list[float]]]:
    """Per variant: counts of the rest, its own, and its share in each stage; then stage by stage.

    A stage in which a variant has no share counts nothing for it.
    """
    for name in names:
        rest, own, share = [], [], []
        for _, stage in split:
            taken = name in stage.shares
            count = stage.counts[name] if taken else 0.0
            own.append(count)
            rest.append(sum(stage.counts.values()) - count if taken else 0.0)
            share.append(stage.shares[name] / sum(stage.shares.values()) if taken else 0.5)
        yield rest, own, share
        for j in range(len(split)):
            only = [float(i == j) for i in range(len(split))]
            yield (
                [x * use for x, use in zip(rest, only, strict=True)],
                [x * use for x, use in zip(own, only, strict=True)],
                share,
            )
