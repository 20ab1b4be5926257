"""What {{version}} and other names in braces stand for, in the texts of metrics."""

from __future__ import annotations

import re
from collections.abc import Mapping

from flows.spec.experiment import Experiment
from flows.spec.measured import PLACEHOLDER


class UnknownPlaceholder(ValueError):
    """A text names in braces what a variant doesn't have."""


def rendered(text: str, spec: Experiment, variant: str) -> str:
    """The text with the variant's own names in it. Raises UnknownPlaceholder."""
    names = placeholders(spec, variant)

    def name(found: re.Match[str]) -> str:
        value = names.get(found[1])
        if value is None:
            why = f"{variant} has no {found[1]}" if found[1] in names else "there is no such name"
            known = ", ".join(name for name, value in names.items() if value is not None)
            raise UnknownPlaceholder(f"{{{{{found[1]}}}}}: {why}; there are {known}")
        return value.replace("\\", "\\\\").replace('"', '\\"')

    return PLACEHOLDER.sub(name, text)


def placeholders(spec: Experiment, variant: str) -> Mapping[str, str | None]:
    """What may stand in braces, and what it is of a variant; None if the variant has none."""
    one = spec.variants[variant]
    return {
        "variant": variant,
        "version": one.version,
        "service": one.service or spec.service,
        "namespace": spec.namespace,
        "value": one.value,
        **{f"labels.{name}": value for name, value in one.labels.items()},
    }
