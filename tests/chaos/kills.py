"""SIGKILL at random instants: what was killed is begun anew until it ends, and nothing is amiss."""

from __future__ import annotations

import random
import shutil
import time
from dataclasses import dataclass, replace
from pathlib import Path

from tests.chaos.commands import Ended, Running, start
from tests.chaos.contents import compare
from tests.chaos.jobs import Job
from tests.chaos.tally import Tally
from tests.places import PATIENCE_S

# So many kills, one after the other, meet one workspace: also the repair of what a kill left.
_MOST_IN_ONE = 3
# A delivery in progress ends with 3.
_FINE = (0, 3)


@dataclass(frozen=True, slots=True)
class _Reference:
    """The job without a kill: its workspace, and each step's end and duration."""

    root: Path
    ends: list[Ended]


def kill_often(job: Job, kills: int, folder: Path, random_: random.Random) -> Tally:
    """Kills the job so often, in as many workspaces as that takes."""
    tally = Tally(job.name)
    reference = _undisturbed(job, folder / "undisturbed", tally)
    tries = 0
    while reference is not None and tally.tried < kills and tries < 8 * kills and not tally.hangs:
        tries += 1
        root = folder / f"killed-{tries}"
        wanted = min(random_.randint(1, _MOST_IN_ONE), kills - tally.tried)
        if _killed(job, root, reference, wanted, tally, random_):
            compare(root, reference.root, tally, without=job.may_differ)
            if (facts := job.facts(root)) != (wished := job.facts(reference.root)):
                tally.fail("other", f"{facts} instead of {wished}")
        shutil.rmtree(root, ignore_errors=True)
    if tally.tried < kills and tally.is_clean:
        tally.fail("other", f"only {tally.tried} of {kills} kills met a running process")
    return tally


def _undisturbed(job: Job, root: Path, tally: Tally) -> _Reference | None:
    job.prepare(root)
    ends = []
    for step in job.steps:
        step.before(root)
        ended = start(root, step.run(root)).wait(PATIENCE_S)
        if ended is None:
            tally.fail("hangs", "hangs even without a kill")
            return None
        tally.hear(ended.output, "without a kill")
        if ended.code not in _FINE:
            tally.fail("other", f"fails without a kill: {ended.output[-500:]}")
            return None
        ends.append(ended)
    return _Reference(root, ends)


def _killed(
    job: Job,
    root: Path,
    reference: _Reference,
    kills: int,
    tally: Tally,
    random_: random.Random,
) -> bool:
    """Runs the steps, of which some are killed; returns whether all came to their end."""
    job.prepare(root)
    chosen = sorted(random_.randrange(len(job.steps)) for _ in range(kills))
    for number, step in enumerate(job.steps):
        step.before(root)
        wanted = reference.ends[number]
        for _ in range(chosen.count(number)):
            running = start(root, step.run(root))
            instant = random_.uniform(0, reference.ends[number].took_s)
            time.sleep(instant)
            # With its children, as a machine ends that loses power, or without.
            is_killed = running.kill(whole_group=random_.random() < 0.5)
            tally.tried += is_killed
            tally.hear(running.output, "killed")
            if not is_killed:
                # The machine was busier when nobody was killed.
                reference.ends[number] = replace(wanted, took_s=instant)
                break
            job.again(root)
        else:
            running = start(root, step.run(root))
        if not _ends_as(wanted, running, f"{job.name}, step {number}", tally):
            return False
    return True


def _ends_as(wanted: Ended, running: Running, what: str, tally: Tally) -> bool:
    """Whether a process that nobody kills ends as it does undisturbed."""
    ended = running.wait(PATIENCE_S)
    if ended is None:
        running.kill()
        tally.fail("hangs", f"{what} hangs after a kill: {running.output[-500:]}")
        return False
    tally.hear(ended.output, "after a kill")
    if ended.code != wanted.code:
        said = ended.output[-500:]
        tally.fail("other", f"{what} ends with {ended.code} instead of {wanted.code}: {said}")
    return ended.code == wanted.code
