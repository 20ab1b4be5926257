"""Which experiment a caller means: by its name, or by the service and namespace."""

from __future__ import annotations

import re

from flows.selection import select_readable
from flows.service.refusal import Refused, shown
from flows.spec_fields import NAME_PATTERN
from flows.workspace import Workspace


def named(workspace: Workspace, name: str) -> str:
    """The name, if there is such a spec; nothing else is ever made part of a path.

    Raises Refused (404).
    """
    is_name = re.fullmatch(NAME_PATTERN, name) is not None
    if not is_name or not (workspace.experiments / f"{name}.yaml").is_file():
        raise Refused(404, f"there is no experiment {shown(name)}")
    return name


def of_service(workspace: Workspace, service: str, namespace: str) -> str:
    """The one experiment on a service. Raises Refused: 404 none, 409 several."""
    found = [
        spec.experiment
        for spec in select_readable(workspace).experiments
        if (spec.service, spec.namespace) == (service, namespace)
    ]
    where = f"on service {shown(service)} in namespace {shown(namespace)}"
    if not found:
        raise Refused(404, f"there is no experiment {where}; name one in metadata.experiment")
    if len(found) > 1:
        raise Refused(
            409, f"there are several experiments {where}: {', '.join(found)}; "
            "name one in metadata.experiment",
        )  # fmt: skip
    return found[0]
