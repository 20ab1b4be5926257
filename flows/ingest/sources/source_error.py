"""What is wrong with a source, said with the field of the spec that names the source."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from flows.formats.problems import UserError


class SourceError(UserError):
    """A source can't be read as it is; field: of the spec, which names it, once that is known."""

    field = ""

    def __str__(self) -> str:
        said = super().__str__()
        return f"{self.field}: {said}" if self.field else said


@contextmanager
def named_in_spec(experiment: str, field: str) -> Iterator[None]:
    """What is wrong with a source in the with block is said to be of this field.

    Unless it is of another one already, or begins with the experiment: then it is of its plan.
    """
    try:
        yield
    except SourceError as error:
        if not error.field and not str(error).startswith(f"{experiment}: "):
            error.field = field
        raise
