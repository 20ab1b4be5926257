"""The files of a new project: an example experiment, a notebook, a schedule, a CI job."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

from flows.formats.problems import UserError

# Where each file of the template goes.
_PLACES = {
    "example.yaml": "experiments/example.yaml",
    "sums.csv": "experiments/sums.csv",
    "notebook.py": "notebook.py",
    "prefect.yaml": "prefect.yaml",
    "ci.yaml": ".github/workflows/verdict.yaml",
    "gitignore": ".gitignore",
}


class ProjectNotWritten(UserError):
    """A file of the project can't be written."""


def write_project(root: Path, *, force: bool = False) -> Iterator[str]:
    """Writes each file that isn't there yet, all of them with force; yields what was done.

    Raises ProjectNotWritten.
    """
    template = files("flows.project") / "template"
    for name, place in _PLACES.items():
        path = root / place
        if path.exists() and not force:
            yield f"kept  {path} (--force overwrites it)"
            continue
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes((template / name).read_bytes())
        except OSError as error:
            raise ProjectNotWritten(f"{path} can't be written: {error.strerror}") from error
        yield f"wrote {path}"
