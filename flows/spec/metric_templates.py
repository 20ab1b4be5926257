"""Metric templates: a metric in a YAML file of its own, shared by specs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from flows.formats.problems import Finding, InputError
from flows.formats.text_file import read_utf8
from flows.formats.yaml_file import LARGEST_FILE, YamlDocument, parse_yaml
from flows.formats.yaml_nodes import PLAIN_TAG, YamlRules


def _value(node: yaml.ScalarNode) -> object:
    """A number, a time or a truth value as Python has it; << and = are but text here."""
    if node.tag.removeprefix(PLAIN_TAG) in ("str", "merge", "value"):
        return node.value
    return yaml.constructor.SafeConstructor().construct_object(node)


SPEC_RULES = YamlRules(most_documents=1, deepest=20, with_aliases=False, value_of=_value)


def with_templates(document: YamlDocument, path: Path) -> tuple[YamlDocument, list[Finding]]:
    """The spec with `template: file` of its metrics filled in; its own fields go before those.

    Also what is wrong with such files.
    """
    data = document.data
    metrics = data.get("metrics") if isinstance(data, dict) else None
    if not isinstance(metrics, dict):
        return document, []
    findings: list[Finding] = []
    filled: dict[str, Any] = {}
    for name, metric in metrics.items():
        filled[name] = metric
        if isinstance(metric, dict) and "template" in metric:
            own = {key: value for key, value in metric.items() if key != "template"}
            try:
                filled[name] = {**_template(path.parent, metric["template"]), **own}
            except ValueError as error:
                findings.append(Finding(("metrics", name, "template"), str(error)))
                del filled[name]
    return replace(document, data={**data, "metrics": filled}), findings


def _template(folder: Path, name: object) -> dict[str, Any]:
    """The metric in a template's file. Raises ValueError."""
    if not isinstance(name, str) or not (folder / name).is_file():
        raise ValueError(f"is {name!r}, must be a file with a metric, relative to the spec")
    file = folder / name
    try:
        documents = parse_yaml(read_utf8(file, largest=LARGEST_FILE), str(file), SPEC_RULES)
    except InputError as error:
        raise ValueError(f"{name} can't be read: {error.problems[0].message}") from error
    problems = [problem.message for one in documents for problem in one.problems]
    data = documents[0].data if len(documents) == 1 else None
    if isinstance(data, dict) and "template" in data:
        raise ValueError(f"{name} names another template, must hold the fields itself")
    if problems or not isinstance(data, dict):
        raise ValueError(
            f"{name} {problems[0]}" if problems else f"{name} must hold the fields of one metric"
        )
    return dict(data)
