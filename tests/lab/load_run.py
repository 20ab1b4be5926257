"""The load generator as a process beside the lab."""

from __future__ import annotations

from pathlib import Path

from tests.lab.load_plan import LoadPlan, LoadResult
from tests.lab.processes import start_python


class LoadRun:
    """A generator at work."""

    def __init__(self, plan: LoadPlan) -> None:
        """Starts it."""
        self._plan = plan
        self._folder = Path(plan.folder)
        self._folder.mkdir(parents=True, exist_ok=True)
        plan_file = self._folder / "plan.json"
        plan_file.write_text(plan.to_json())
        self._child = start_python("tests.lab.load", str(plan_file), log=self._folder / "load.out")

    @property
    def pid(self) -> int:
        """The generator's process id."""
        return self._child.pid

    @property
    def is_running(self) -> bool:
        """Whether it still sends."""
        return self._child.is_running

    def wait(self) -> LoadResult:
        """Its result, when it is through; raises RuntimeError if it failed."""
        code = self._child.wait(self._plan.seconds + 60)
        if code != 0:
            self._child.fail_if_ended()
        return LoadResult.read(self._folder)

    def stop(self) -> LoadResult:
        """Ends it early; the result so far."""
        self._child.stop(timeout_s=30)
        return LoadResult.read(self._folder)

    def kill(self) -> None:
        """Ends it without a result."""
        self._child.kill()
