"""Where a project keeps its specs, its warehouse and what is written for people."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Workspace:
    """The folders below one root; nothing is created before it is written to."""

    root: Path
    specs: Path | None = None

    @property
    def experiments(self) -> Path:
        """The specs, one YAML file an experiment; in experiments/, unless another folder is set."""
        return self.specs or self.root / "experiments"

    @property
    def warehouse(self) -> Path:
        """The DuckDB file that only flows open."""
        return self.root / "var" / "warehouse.duckdb"

    @property
    def marts(self) -> Path:
        """The published, versioned DuckDB files that analysts open."""
        return self.root / "var" / "marts"

    @property
    def verdicts(self) -> Path:
        """Verdict JSON, a folder an experiment."""
        return self.root / "verdicts"

    @property
    def dashboards(self) -> Path:
        """Grafana dashboards and their provisioning."""
        return self.root / "var" / "dashboards"

    @property
    def report(self) -> Path:
        """The HTML report: index.html and a page per experiment."""
        return self.root / "var" / "report"


def verdict_path(folder: Path, experiment: str, look_at: datetime) -> Path:
    """Where the verdict of a look is written; folder: of all verdicts."""
    return folder / experiment / f"{look_at:%Y%m%dT%H%M%SZ}.json"
