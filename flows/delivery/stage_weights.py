"""Splits of a delivery: what each stage's is, whether two are the same, how people write them."""

from __future__ import annotations

from collections.abc import Mapping

from flows.spec.experiment import Experiment

# Percent. Targets round: a VirtualService has whole percents.
_SAME_WEIGHT = 0.05


def weights_of(spec: Experiment, stage: int) -> dict[str, float]:
    """Percent by variant of a stage: 0 is all to the baseline, after the last all to the other."""
    if 0 < stage <= len(spec.stages):
        return dict(spec.stages[stage - 1].weights)
    chosen = spec.candidates[0] if stage else spec.baseline
    return {name: 100.0 if name == chosen else 0.0 for name in spec.variants}


def same_split(one: Mapping[str, float], other: Mapping[str, float]) -> bool:
    """Whether two splits are the same, but for a target's rounding."""
    names = set(one) | set(other)
    return all(abs(one.get(n, 0.0) - other.get(n, 0.0)) <= _SAME_WEIGHT for n in names)


def shown_split(weights: Mapping[str, float]) -> str:
    """Weights as a person writes them: stable 95, canary 5."""
    return ", ".join(f"{name} {weight:g}" for name, weight in weights.items())
