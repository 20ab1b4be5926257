"""What a spec's strategy finds in its counters at a look."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

import numpy as np

from analysis.arrays import BoolArray, FloatArray
from analysis.plan import Plan
from analysis.strategies.declaration import Counted, Counter, Found, StrategyFinding
from flows.formats.time import milliseconds
from flows.ingest.measured.strategy_series import strategy_texts
from flows.look.measured_doubts import gap_in
from flows.look.measured_grid import amounts_of
from flows.spec.experiment import Experiment
from flows.spec.strategies import STRATEGY
from flows.warehouse.statements import Connection

Amounts = Mapping[str, Mapping[str, Mapping[str, FloatArray]]]


def strategy_findings(
    con: Connection, spec: Experiment, plan: Plan, *, at_ms: int
) -> tuple[StrategyFinding, ...]:
    """Everything that the strategy says of whole buckets inside the plan; nothing without one."""
    if spec.strategy is None:
        return ()
    buckets = max(0, min(at_ms, plan.end_ms) - plan.start_ms) // plan.bucket_ms
    shares = plan.stages[-1].shares if len(plan.stages) == 1 else {}
    amounts = _amounts(con, spec, plan, int(buckets))
    seen = Counted(
        plan.baseline,
        plan.candidates,
        milliseconds(spec.plan.bucket) / 1000,
        {
            name: {
                arm: {value: np.nan_to_num(one) for value, one in of_value.items()}
                for arm, of_value in of_arm.items()
            }
            for name, of_arm in amounts.items()
        },
        shares,
        max(0, plan.end_ms - at_ms) / 1000,
        {
            name: {arm: _known(one) for arm, one in of_arm.items()}
            for name, of_arm in amounts.items()
        },
    )
    missing = tuple(_without_series(spec, seen))
    # Harm of what was counted is harm; that there is none isn't known where some wasn't.
    return missing or (*spec.strategy.strategy.check(seen), *_partly_known(spec, seen))


def _amounts(con: Connection, spec: Experiment, plan: Plan, buckets: int) -> Amounts:
    """By counter, variant and value of its label; NaN where nothing is known."""
    found: dict[str, dict[str, dict[str, FloatArray]]] = defaultdict(lambda: defaultdict(dict))
    for (metric, variant), parts in amounts_of(con, spec, plan, buckets).items():
        for part, amount in parts.items() if metric == STRATEGY else ():
            counter, _, value = part.partition(":")
            found[counter][variant][value] = amount
    return found


def _must_have(spec: Experiment, counter: Counter, variant: str) -> bool:
    return counter.needed and not (counter.of_candidates and variant == spec.baseline)


def _without_series(spec: Experiment, seen: Counted) -> Iterator[StrategyFinding]:
    """Counters that must be there and are not: of these nothing is known."""
    for name, counter in spec.strategy.counters.items() if spec.strategy else ():
        for variant in spec.variants:
            found = seen.amounts.get(name, {}).get(variant)
            is_known = found and not (counter.by and set(found) == {""})
            if _must_have(spec, counter, variant) and not is_known:
                why = f"has the label {counter.by}" if found else "matches"
                text = strategy_texts(spec)[variant, name]
                detail = f"nothing is known of {name} of {variant}: no series {why} ({text})"
                yield StrategyFinding(f"{name} counted", Found.WAIT, detail)


def _known(of_value: Mapping[str, FloatArray]) -> BoolArray:
    """By bucket, whether anything is known of a counter of a variant."""
    return np.asarray(np.isfinite(list(of_value.values())).any(axis=0))


def _partly_known(spec: Experiment, seen: Counted) -> Iterator[StrategyFinding]:
    """Needed counters that don't cover the time in which any of the variant's is known."""
    counters = spec.strategy.counters if spec.strategy else {}
    for arm in spec.variants:
        known = {
            name: seen.known[name][arm]
            for name, counter in counters.items()
            if _must_have(spec, counter, arm)
        }
        for name, each in known.items():
            began = np.logical_or.accumulate(np.asarray(np.any(list(known.values()), axis=0)))
            why = gap_in(spec, f"{name} of {arm}", each, began)
            if why is not None:
                yield StrategyFinding(f"{name} counted", Found.WAIT, why)
