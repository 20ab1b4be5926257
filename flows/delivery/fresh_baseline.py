"""The fresh baseline of a delivery: made before a stage begins, removed when the delivery ends."""

from __future__ import annotations

from flows.delivery.controller import Controller
from flows.delivery.targets.open_target import open_fresh_pods
from flows.delivery.targets.target import TargetRefused


def prepare_baseline(controller: Controller, stage: int) -> str | None:
    """Makes it, as large as the candidate is; why the stage can't begin yet, or None.

    The end of the last stage waits for it too: a candidate is no better than pods that aren't ready
    let it look. Raises what the target raises.
    """
    pods = open_fresh_pods(controller.spec)
    if pods is None or stage == 0:
        return None
    return pods.ensure(fence=controller.lease.fence)


def remove_baseline(controller: Controller) -> str:
    """Removes it; a word on what a person must remove, or nothing.

    It is tried until it is done: raises NewerController or TargetUnavailable.
    """
    pods = open_fresh_pods(controller.spec)
    if pods is None:
        return ""
    try:
        pods.remove(fence=controller.lease.fence)
    except TargetRefused as error:
        return f"; remove {pods.title} yourself: {error}"
    return ""
