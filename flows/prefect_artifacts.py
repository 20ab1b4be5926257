"""What a flow run shows in Prefect: verdicts with their reasons, and links to what was written."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from prefect.artifacts import (
    create_link_artifact,
    create_markdown_artifact,
    create_table_artifact,
)

from flows.formats.safe_text import safe_text, safe_url
from flows.look.verdict_document import VerdictDocument
from flows.publish.dashboards import view_of
from flows.spec.experiment import Experiment
from flows.workspace.paths import Workspace

# The Grafana that shows the dashboards; a link names the dashboard's uid, which stays the same.
GRAFANA = "VERDICT_GRAFANA_URL"


def show_verdict(workspace: Workspace, document: VerdictDocument) -> None:
    """One verdict with its reasons and notes as a list, and a link to its JSON."""
    lines = [f"- {reason}" for reason in document.reasons]
    lines += [f"- note: {note}" for note in document.notes]
    score = "no score" if document.score is None else f"score {document.score:g}"
    create_markdown_artifact(
        safe_text(
            f"**{document.decision.value}** at {document.look_at:%Y-%m-%d %H:%M:%S} UTC, "
            f"{score}\n\n" + "\n".join(lines)
        ),
        key=f"verdict-{document.experiment}",
        description=f"Verdict of {document.experiment}",
    )
    path = document.path_in(workspace.verdicts)
    create_link_artifact(
        path.resolve().as_uri(),
        link_text=path.name,
        key=f"verdict-json-{document.experiment}",
        description=f"Verdict of {document.experiment} as JSON, on the worker's machine",
    )


def show_dashboard(workspace: Workspace, spec: Experiment) -> None:
    """A link to the experiment's dashboard; nothing where there is none yet."""
    link = dashboard_link(workspace, spec)
    if link is not None:
        create_link_artifact(
            link,
            link_text=f"Dashboard of {spec.experiment}",
            key=f"dashboard-{spec.experiment}",
            description=f"Dashboard of {spec.experiment}",
        )


def dashboard_link(workspace: Workspace, spec: Experiment) -> str | None:
    """In the Grafana that VERDICT_GRAFANA_URL names; else the file, if it is published."""
    uid = view_of(spec).uid
    if grafana := safe_url(os.environ.get(GRAFANA, "")).rstrip("/"):
        base, _, query = grafana.partition("?")
        return f"{base.rstrip('/')}/d/{uid}" + (f"?{query}" if query else "")
    path = workspace.dashboards / f"{uid}.json"
    return path.resolve().as_uri() if path.exists() else None


def show_table(documents: Sequence[Mapping[str, Any]], failed: Mapping[str, str]) -> None:
    """A row per experiment: its verdict, or why it has none."""
    create_table_artifact(
        [
            {
                "experiment": document["experiment"],
                "verdict": document["decision"],
                "score": document["score"],
                "look": document["look_at"],
                "why": safe_text("; ".join(document["reasons"])),
            }
            for document in documents
        ]
        + [
            {"experiment": name, "verdict": "failed", "why": safe_text(why)}
            for name, why in failed.items()
        ],
        key="verdicts",
        description="The latest verdict of every experiment",
    )


def show_published(paths: Sequence[Path]) -> None:
    """The files that were written."""
    create_markdown_artifact(
        "\n".join(f"- `{path}`" for path in paths), key="published", description="What was written"
    )
