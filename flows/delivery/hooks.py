"""Calls around a delivery's stages: a load test before one, a message after the end."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from concurrent.futures import wait
from contextlib import suppress
from functools import partial

import requests

from flows.delivery.controller import Controller
from flows.delivery.lease import LEASE, LeaseLost
from flows.delivery.targets.target import NewerController
from flows.formats import apart
from flows.formats.bounded_http import bound
from flows.formats.problems import os_reason
from flows.formats.safe_text import safe_text
from flows.spec.delivery import Hook

_ASK_S = LEASE.total_seconds() / 3
_END_S = 5.0


def before_stage(controller: Controller, stage: int) -> str | None:
    """Runs the hooks before a stage; why it may not begin, or None. Keeps the lease meanwhile.

    Raises LeaseLost.
    """
    for hook in _hooks(controller, "before_stage"):
        if hook.stage in (None, stage):
            failure = _run(controller, hook, stage)
            if failure is not None:
                return failure
    return None


def after_end(controller: Controller, stage: int) -> str | None:
    """Runs the hooks after a promote or a rollback; what failed of them. Stops nothing."""
    when = "after_rollback" if stage == 0 else "after_promote"
    failures = [_run(controller, hook, stage) for hook in _hooks(controller, when)]
    return "; ".join(failure for failure in failures if failure) or None


def has_hooks(controller: Controller, stage: int) -> bool:
    """Whether any hook is to run before a stage."""
    return any(hook.stage in (None, stage) for hook in _hooks(controller, "before_stage"))


def _hooks(controller: Controller, when: str) -> list[Hook]:
    delivery = controller.spec.delivery
    return [hook for hook in delivery.hooks if hook.when == when] if delivery else []


def _run(controller: Controller, hook: Hook, stage: int) -> str | None:
    told = {"experiment": controller.spec.experiment, "when": hook.when, "stage": str(stage)}
    if hook.http is not None:
        answer = apart.begin(partial(_post, hook.http, told, hook.timeout.total_seconds()))
        while not wait([answer], _ASK_S).done:
            if _is_aborted(controller) and hook.when != "after_rollback":
                return f"the hook {hook.when} isn't waited for: the delivery is aborted"
        return answer.result()
    return _command(controller, hook, told)


def _post(url: str, told: dict[str, str], timeout_s: float) -> str | None:
    """Calls the URL; no redirect is followed, as it may lead anywhere."""
    try:
        with requests.Session() as session:
            bound(session, timeout_s)
            with session.post(
                url, json=told, timeout=timeout_s, allow_redirects=False, stream=True
            ) as answer:
                if answer.status_code < 300:
                    return None
                return f"the hook {told['when']} answered {answer.status_code}"
    except requests.exceptions.InvalidProxyURL as error:
        return f"the hook {told['when']} can't be called: {error}"
    except requests.Timeout:
        return f"the hook {told['when']} took longer than {timeout_s:g} s"
    except requests.RequestException as error:
        return f"the hook {told['when']} can't be called: {type(error).__name__}"


def _command(controller: Controller, hook: Hook, told: dict[str, str]) -> str | None:
    """Runs the command with its children in a group of their own, which ends with it."""
    words = hook.command or []
    name = safe_text(f"the hook {told['when']} ({hook.program})")
    variables = {f"VERDICT_{key.upper()}": value for key, value in told.items()}
    try:
        process = subprocess.Popen(
            words,
            cwd=controller.path.parent,
            env=os.environ | variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        return f"{name} can't be run: {os_reason(error)}"
    until = time.monotonic() + hook.timeout.total_seconds()
    try:
        while (left := until - time.monotonic()) > 0:
            with suppress(subprocess.TimeoutExpired):
                code = process.wait(min(left, _ASK_S))
                how = f"was ended by signal {-code}" if code < 0 else f"failed with {code}"
                return f"{name} {how}" if code else None
            if _is_aborted(controller) and hook.when != "after_rollback":
                return f"{name} was stopped: the delivery is aborted"
        return f"{name} took longer than {hook.timeout.total_seconds():g} s"
    finally:
        _end(process)


def _is_aborted(controller: Controller) -> bool:
    """Keeps the lease, and asks whether a person has aborted. Raises LeaseLost."""
    try:
        return controller.read().aborted is not None
    except (LeaseLost, NewerController):
        raise
    except Exception:  # noqa: BLE001 - the next step says it, if it lasts
        return False


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends the whole group, also what the command has left behind."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    with suppress(subprocess.TimeoutExpired):
        process.wait(_END_S)
