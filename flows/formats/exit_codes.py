"""What the commands end with, for pipelines that read nothing else."""

from __future__ import annotations

from enum import IntEnum, StrEnum


class ExitCode(IntEnum):
    """A command's answer as a number."""

    GOOD = 0
    HARM = 1
    FAILED = 2
    """Wrong usage, or a mistake: nothing was decided."""
    UNDECIDED = 3
    UNUSABLE = 4
    """The data can't be judged."""
    INTERRUPTED = 130
    """Ended by Ctrl-C, as shells have it."""


_OF_DECISIONS = {
    "promote": ExitCode.GOOD,
    "rollback": ExitCode.HARM,
    "hold": ExitCode.UNDECIDED,
    "invalid": ExitCode.UNUSABLE,
    "pass": ExitCode.GOOD,
    "fail": ExitCode.HARM,
    "marginal": ExitCode.UNDECIDED,
    "uncertain": ExitCode.UNDECIDED,
    "no_data": ExitCode.UNUSABLE,
}


def exit_code(decision: StrEnum) -> int:
    """What the gate ends with at a decision, or `verdict judge` at a judgement."""
    return int(_OF_DECISIONS[decision.value])
