"""`verdict validate` and `schema`: what is wrong with specs, and what they may say."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from flows.cli.arguments import USAGE_ERROR, Commands, command
from flows.cli.lines import complain

if TYPE_CHECKING:
    from flows.spec.experiment import Experiment


def add(commands: Commands) -> None:
    """Adds the commands."""
    validate = command(commands, "validate", _validate, "validate experiment specs")
    validate.add_argument(
        "specs",
        nargs="*",
        type=Path,
        metavar="SPEC",
        help="files or experiments (default: all of experiments/)",
    )
    schema = command(commands, "schema", _schema, "print the JSON Schema of specs, for editors")
    which = schema.add_mutually_exclusive_group()
    which.add_argument("--verdict", action="store_true", help="of the verdict JSON instead")
    which.add_argument(
        "--aggregates", action="store_true", help="of the input of `analyze` instead"
    )
    which.add_argument("--calibration", action="store_true", help="of `calibrate --json` instead")
    which.add_argument(
        "--scorecard", action="store_true", help="of the output of `analyze --json` instead"
    )
    which.add_argument("--judgement", action="store_true", help="of `judge --json` instead")


def _validate(options: argparse.Namespace) -> int:
    from flows.formats.problems import InputError  # noqa: PLC0415
    from flows.spec.unread_sources import unread_sources  # noqa: PLC0415
    from flows.workspace.experiments import load_spec, no_specs  # noqa: PLC0415

    folder = options.workspace.experiments
    files = [_file(folder, spec) for spec in options.specs] or sorted(folder.glob("*.yaml"))
    problems = 0
    for path in files:
        try:
            spec = load_spec(path)
            if not options.quiet:
                print(f"{path}: ok")
            remarks = (
                *unread_sources(spec),
                *_on_directions(spec),
                *_on_targets(spec, path),
                *_on_manifests(spec, path),
            )
            for remark in remarks:
                print(f"  {remark}")
        except InputError as error:
            problems += len(error.problems)
            print(error)
    if problems:
        print("1 problem" if problems == 1 else f"{problems} problems")
    elif not files:
        complain(no_specs(folder))
    return USAGE_ERROR if problems or not files else 0


def _file(folder: Path, spec: Path) -> Path:
    """The file itself, or the one of the experiment with this name."""
    named = folder / f"{spec.name.removesuffix('.yaml')}.yaml"
    return named if named.is_file() and not spec.exists() else spec


def _on_directions(spec: Experiment) -> list[str]:
    """Guardrails of users of which nobody has said what would be worse."""
    from analysis.plan import Role  # noqa: PLC0415

    return [
        f"metrics.{name}: no `better`, so lower values are harm; write `better: lower` for refunds "
        "or complaints, or `better: higher`"
        for name, metric in spec.user_metrics.items()
        if metric.role is Role.GUARDRAIL and "better" not in metric.model_fields_set
    ]


def _on_targets(spec: Experiment, path: Path) -> list[str]:
    """Specs of the same folder that deliver to the same place."""
    if spec.delivery is None:
        return []
    from flows.delivery.shared_targets import shared_targets  # noqa: PLC0415
    from flows.workspace.experiments import select_readable  # noqa: PLC0415
    from flows.workspace.paths import Workspace  # noqa: PLC0415

    beside = select_readable(Workspace(path.parent, specs=path.parent), ((path, spec),))
    return list(shared_targets(path, spec, beside.specs))


def _on_manifests(spec: Experiment, path: Path) -> list[str]:
    """What is wrong in the manifests that a spec names, and where they differ from it."""
    if not spec.manifests:
        return []
    from flows.manifests.spec_split import (  # noqa: PLC0415
        disagreements,
        manifests_of_spec,
        mistakes,
        mixed_cohorts,
    )
    from flows.manifests.strategy_spec import differing_settings  # noqa: PLC0415
    from flows.manifests.unlike_pods import unlike_pods  # noqa: PLC0415

    manifests = manifests_of_spec(spec, path.parent)
    mixed = mixed_cohorts(spec, manifests)
    told = [f"routes with other splits, and no `cohorts`: {mixed}"] if mixed else []
    return [
        *disagreements(spec, manifests),
        *told,
        *differing_settings(spec, manifests),
        *unlike_pods(spec, manifests),
        *mistakes(manifests),
    ]


def _schema(options: argparse.Namespace) -> int:
    if options.verdict:
        from flows.look.verdict_document import verdict_schema  # noqa: PLC0415

        print(verdict_schema(), end="")
    elif options.aggregates:
        from flows.ingest.sources.aggregate_rows import aggregates_schema  # noqa: PLC0415

        print(aggregates_schema(), end="")
    elif options.judgement:
        from flows.kayenta.judgement_document import judgement_schema  # noqa: PLC0415

        print(judgement_schema(), end="")
    elif options.calibration:
        from flows.calibration.calibration_document import calibration_schema  # noqa: PLC0415

        print(calibration_schema(), end="")
    elif options.scorecard:
        from flows.aggregates.analyzed_document import scorecard_schema  # noqa: PLC0415

        print(scorecard_schema(), end="")
    else:
        from flows.spec.schema import experiment_schema  # noqa: PLC0415

        print(experiment_schema(), end="")
    return 0
