"""Writes the reference pages of the documentation from the code that they describe.

    python -m scripts.reference [FOLDER]

FOLDER: docs/reference by default. The data dictionary is `verdict export --dictionary`.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

from analysis.verdict import Decision
from dashboards import exported_metrics, pipeline_metrics, verdict_metrics
from flows.cli.main import command_parser
from flows.formats.exit_codes import ExitCode, exit_code
from flows.spec.schema import experiment_schema

REPOSITORY = Path(__file__).resolve().parents[1]
EXAMPLES = Path(__file__).with_name("spec_examples.yaml")
Node = dict[str, Any]
_COMMON = ("help", "root", "quiet", "debug", argparse.SUPPRESS)
_WORDS = {"string": "text", "boolean": "true or false"}


def spec_page() -> Iterator[str]:
    """Every field of a spec: a section for each part, the experiment first."""
    schema: Node = json.loads(experiment_schema())
    examples = yaml.safe_load(EXAMPLES.read_text(encoding="utf-8"))
    yield "# Spec\n\nEvery field of an experiment's YAML file, generated from the models that read"
    yield "it (`make schemas`). `verdict schema` prints the same as a JSON Schema, for editors.\n"
    for name, part in {"Experiment": schema, **schema["$defs"]}.items():
        yield f"## {name}\n"
        yield " ".join(part.get("description", "").split("\n\n")[0].split()) + "\n"
        if "enum" in part:
            yield "One of " + ", ".join(f"`{value}`" for value in part["enum"]) + ".\n"
            continue
        yield f"```yaml\n{examples[name].rstrip()}\n```\n"
        yield "| field | type | default | meaning |\n| --- | --- | --- | --- |"
        for field, node in part["properties"].items():
            yield _row(field, node, is_required=field in part.get("required", []))
        yield ""


def _row(field: str, node: Node, *, is_required: bool) -> str:
    default = node.get("default")
    said = (
        "required"
        if is_required
        else ""
        if default in (None, "") or isinstance(default, dict)
        else _code(default)
    )
    cells = (f"`{field}`", _type(node), said, node.get("description", ""))
    return f"| {' | '.join(' '.join(cell.split()).replace('|', chr(92) + '|') for cell in cells)} |"


def _code(value: object) -> str:
    return f"`{value if isinstance(value, str) else json.dumps(value)}`"


def _type(node: Node) -> str:
    """What may be written, in a few words."""
    choices = node.get("anyOf", node.get("oneOf"))
    if choices:
        said = (_type(one) for one in choices if one.get("type") != "null")
        return " or ".join(dict.fromkeys(said))
    if "$ref" in node:
        name = node["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    values = node.get("enum", [node["const"]] if "const" in node else [])
    if values:
        return ", ".join(f"`{value}`" for value in values)
    if node.get("type") == "array":
        return f"list of {_type(node.get('items', {}))}"
    inner = [*node.get("patternProperties", {}).values(), node.get("additionalProperties")]
    if isinstance(inner[0], dict):
        return f"map of {_type(inner[0])}"
    return _plain(node)


def _plain(node: Node) -> str:
    """A single value, by the pattern that its text must have."""
    pattern = node.get("pattern", "")
    for part, said in (("%$", "percentage"), ("ms|[smhdw]", "duration"), ("^https?", "URL")):
        if part in pattern:
            return said
    if node.get("format") == "date-time":
        return "time"
    kind = str(node.get("type", "value"))
    return _WORDS.get(kind, kind)


def commands_page() -> Iterator[str]:
    """Every command with its arguments, and what the exit codes mean."""
    yield "# Commands\n\nGenerated from the command itself (`make schemas`). Every command has"
    yield "`--help`, `--root FOLDER` (the one with `experiments/`), `--quiet` and `--debug`.\n"
    said: dict[int, list[str]] = {code.value: [] for code in ExitCode}
    for decision in Decision:
        said[exit_code(decision)].append(decision.value)
    said[ExitCode.FAILED].append("error: nothing was decided")
    said[ExitCode.INTERRUPTED].append("interrupted (Ctrl-C)")
    yield "| exit code | decision |\n| --- | --- |"
    yield from (f"| {code} | {', '.join(words)} |" for code, words in said.items())
    (commands,) = (
        action
        for action in command_parser()._actions
        if isinstance(action, argparse._SubParsersAction)
    )
    meanings = {choice.dest: choice.help or "" for choice in commands._choices_actions}
    for name, command in commands.choices.items():
        arguments = [action for action in command._actions if action.dest not in _COMMON]
        places = [str(one.metavar or one.dest).upper() for one in arguments if _is_place(one)]
        yield f"\n## {name}\n\n```text\n{' '.join(['verdict', name, '[OPTIONS]', *places])}\n```\n"
        yield f"{meanings[name][:1].upper()}{meanings[name][1:]}.\n"
        if arguments:
            yield "| argument | meaning |\n| --- | --- |"
        yield from map(_argument, arguments)


def _is_place(argument: argparse.Action) -> bool:
    return not argument.option_strings


def _argument(argument: argparse.Action) -> str:
    names = argument.option_strings or [str(argument.metavar or argument.dest).upper()]
    choices = "/".join(map(str, argument.choices or [])) or argument.dest.upper()
    takes_value = argument.nargs != 0 and not _is_place(argument)
    metavar = argument.metavar or choices
    value = metavar if isinstance(metavar, str) else " ".join(metavar)
    value = f" {value}" if takes_value else ""
    said = (argument.help or "") % {**vars(argument), "prog": "verdict"}
    return f"| `{', '.join(names)}{value}` | {said.replace('|', chr(92) + '|')} |"


def metrics_page() -> Iterator[str]:
    """Every metric that is exported, as its HELP line says it."""
    yield "# Exported metrics\n\nGauges in `var/metrics.prom`, and of the last run in"
    yield "`var/pipeline.prom` (`make schemas`). `split_verdict_*` carry the label `experiment`.\n"
    yield "| metric | meaning |\n| --- | --- |"
    for prefix, metrics in (
        ("edtech", exported_metrics.GUIDE_HELP),
        (verdict_metrics.PREFIX, verdict_metrics.HELP | pipeline_metrics.HELP),
    ):
        yield from (f"| `{prefix}_{name}` | {said} |" for name, said in metrics.items())
    yield "\n`VERDICT_METRIC_PREFIX` replaces `edtech`."


PAGES: dict[str, Callable[[], Iterator[str]]] = {
    "spec.md": spec_page,
    "commands.md": commands_page,
    "exported-metrics.md": metrics_page,
}


def written(page: Callable[[], Iterator[str]]) -> str:
    """A page's text."""
    return re.sub(r"\n{3,}", "\n\n", "\n".join(page())).rstrip() + "\n"


def main() -> int:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else REPOSITORY / "docs" / "reference"
    for name, page in PAGES.items():
        (folder / name).write_text(written(page), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
