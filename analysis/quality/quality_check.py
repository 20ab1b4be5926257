"""One check of the data, and what is lost where it fails."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class QualityCheck:
    """One check: its name, whether it passed, and a sentence that says what was found.

    spoils: the variants whose own data can't be trusted if it fails; empty where only the
        comparison can't.
    """

    name: str
    passed: bool
    detail: str
    spoils: tuple[str, ...] = ()
