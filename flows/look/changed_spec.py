"""That the spec was another one when a look said rollback: what passes now may pass by the edit."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC
from typing import Any

from analysis.plan import Plan
from flows.formats.time import instant
from flows.spec.experiment import Experiment
from flows.warehouse.statements import Connection, run

# Fields that change no verdict, and so many that are named.
_SHOWN_ONLY = ("description", "owner", "engine")
_MOST = 4


def note_on_changed_spec(
    con: Connection, spec: Experiment, plan: Plan, *, at_ms: int
) -> tuple[str, ...]:
    """A sentence on the latest look that said rollback by another spec, and on what was edited.

    Of the same variants; of this plan, or of as long before it, as its start may be what was moved.
    """
    asked = {"experiment": spec.experiment, "spec_hash": spec.spec_hash}
    others = dict(run(con, "aggregate/other_specs", **asked).fetchall())
    if not others:
        return ()
    span = {"since": instant(2 * plan.start_ms - plan.end_ms), "look_at": instant(at_ms)}
    now = json.loads(spec.model_dump_json())
    for hashed, look_at in run(
        con, "aggregate/rollbacks_by_other_specs", **asked, **span
    ).fetchall():
        then = json.loads(others[hashed]) if hashed in others else now
        changed = list(_changed(then, now))
        if then["variants"] != now["variants"] or not changed:
            continue
        more = f" and {len(changed) - _MOST} more" if len(changed) > _MOST else ""
        said = f"the look at {look_at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC said rollback"
        return (f"{said}; the spec has changed since: {', '.join(changed[:_MOST])}{more}",)
    return ()


def _changed(then: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """Fields of the spec, of its sections and of its metrics that aren't the same."""
    for name in dict.fromkeys((*then, *now)):
        old, new = then.get(name), now.get(name)
        if old == new or name in _SHOWN_ONLY:
            continue
        inner = list(_inner(old, new, 2 if name == "metrics" else 1))
        yield from (f"{name}.{each}" for each in inner) if inner else (name,)


def _inner(old: object, new: object, depth: int) -> Iterator[str]:
    """Names of what differs within; none where that is all, or not said so deep."""
    if not depth or not isinstance(old, Mapping) or not isinstance(new, Mapping):
        return
    for name in dict.fromkeys((*old, *new)):
        if old.get(name) != new.get(name):
            inner = list(_inner(old.get(name), new.get(name), depth - 1))
            yield from (f"{name}.{each}" for each in inner) if inner else (str(name),)
