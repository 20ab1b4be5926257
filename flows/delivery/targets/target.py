"""What every traffic target can do: say the split that is applied, and apply another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from flows.formats.problems import UserError


class TargetUnavailable(UserError):
    """The target did not answer or could not be written; trying again may help."""


class TargetRefused(UserError):
    """The target, or what it names, is wrong; trying again doesn't help."""


class SplitChanged(UserError):
    """Somebody else changed the split since it was read."""


class NewerController(UserError):
    """A controller with a newer lease has shifted this target: this one must stop."""


@dataclass(frozen=True, slots=True)
class ShiftedRoutes:
    """Which of a target's routes are shifted.

    name: of the only one; None for all that split between the variants. at_most: how many that may
    be, where other routes keep splits of their own.
    """

    name: str | None = None
    at_most: int | None = None

    def check(self, title: str, found: int) -> None:
        """Raises TargetRefused if more routes were found than are to be shifted."""
        if self.at_most is not None and found > self.at_most:
            raise TargetRefused(
                f"{title}: {found} of its routes split between the variants, and {self.at_most} of "
                "the cohorts have no split of their own: name the route that is shifted "
                "(delivery.target.route)"
            )


ALL_ROUTES = ShiftedRoutes()


@dataclass(frozen=True, slots=True)
class AppliedSplit:
    """The split that a target carries.

    weights: percent by variant, summing to 100.
    fence: the number of the lease under which it was last shifted; 0 if never by us.
    revision: changes whenever the target does (resourceVersion, hash of the file, commit).
    """

    weights: dict[str, float]
    fence: int
    revision: str

    def check(self, title: str, *, fence: int, expected: str) -> None:
        """Whether a controller with this fence, that read this revision, may shift the target.

        Raises NewerController or SplitChanged.
        """
        if self.fence > fence:
            raise NewerController(
                f"{title} was shifted under lease {self.fence}, this controller's is {fence}: "
                "it stops"
            )
        if self.revision != expected:
            raise SplitChanged(f"{title} was changed since it was read")


class TrafficTarget(Protocol):
    """A place where weights are changed. Names of variants are the spec's."""

    @property
    def title(self) -> str:
        """The target in words, such as "VirtualService/exam-service in edtech-production"."""
        ...

    def read(self) -> AppliedSplit:
        """The split as it is now.

        Raises TargetUnavailable or TargetRefused.
        """
        ...

    def shift(
        self, weights: Mapping[str, float], *, fence: int, expected: str, reason: str
    ) -> AppliedSplit:
        """Applies a split and returns it as the target then carries it.

        Applying what is already there with the same fence changes nothing: a controller that was
        killed after a shift may repeat it.
        weights: percent by variant, summing to 100. fence: number of the controller's lease, kept
        in the target. expected: the revision of the read on which the decision rests.
        reason: one sentence for people, kept where the target has room for it.
        Raises NewerController if the target carries a higher fence, SplitChanged if its revision
        isn't `expected` any more, or TargetRefused; then nothing was changed. After
        TargetUnavailable the split may be applied or not: the next read tells.
        """
        ...
