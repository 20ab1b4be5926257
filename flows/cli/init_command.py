"""`verdict init`: a new experiment from the manifests that configure its split."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from flows.cli.arguments import USAGE_ERROR, Commands, command
from flows.cli.lines import complain
from flows.formats.problems import InputError
from flows.formats.text import counted

if TYPE_CHECKING:
    from flows.manifests.found_strategy import FoundStrategy
    from flows.manifests.new_cohorts import NewCohorts
    from flows.manifests.read import Manifests
    from flows.manifests.split import Split
    from flows.manifests.split_choice import SpecAnswers

_MESHES = ("istio", "linkerd", "linkerd-route", "linkerd-policy", "envoy")


_OF_MANIFESTS = ("service", "route", "strategy", "name", "mesh", "prometheus", "output")


def add(commands: Commands) -> None:
    """Adds the command."""
    init = command(
        commands,
        "init",
        _init,
        "write a spec from mesh manifests (--from), or the files of a new project",
        narrates=True,
    )
    init.add_argument(
        "--from",
        dest="files",
        nargs="+",
        type=Path,
        metavar="FILE",
        help="TrafficSplit, VirtualService, HTTPRoute, Flagger Canary and MetricTemplate, Argo "
        "Rollout and AnalysisTemplate, Kayenta canary config, ...",
    )
    init.add_argument(
        "--project",
        action="store_true",
        help="write an example experiment, a notebook, a schedule and a CI job (as without --from)",
    )
    init.add_argument("--service", help="which service, if the files have several")
    init.add_argument("--route", metavar="TEXT", help="which route, if the files have several")
    init.add_argument(
        "--strategy",
        metavar="KIND",
        help="judge this traffic strategy, with the settings that the files have "
        "(docs/how-to/strategies.md)",
    )
    init.add_argument(
        "--name", help="experiment name (default: the file name of --output, else the manifest's)"
    )
    init.add_argument("--mesh", choices=_MESHES, help="if the manifest doesn't name it")
    init.add_argument(
        "--prometheus", metavar="URL", help="Prometheus server with the request metrics"
    )
    init.add_argument("--output", type=Path, metavar="FILE", help="default: experiments/NAME.yaml")
    init.add_argument("--force", action="store_true", help="overwrite an existing spec")


def _init(options: argparse.Namespace) -> int:
    from flows.formats.atomic_file import write_atomically  # noqa: PLC0415
    from flows.manifests.new_cohorts import cohort_telemetry  # noqa: PLC0415
    from flows.manifests.new_spec import cohorts_of, experiment_name, scope_of  # noqa: PLC0415
    from flows.manifests.read import read_manifests  # noqa: PLC0415
    from flows.manifests.spec_split import mistakes  # noqa: PLC0415
    from flows.manifests.split_choice import (  # noqa: PLC0415
        CannotInit,
        SpecAnswers,
        choose_split,
    )
    from flows.manifests.strategy_spec import choose_strategies, split_strategy  # noqa: PLC0415
    from flows.spec.experiment import Mesh  # noqa: PLC0415

    if options.project and options.files:
        complain("--project and --from: name one of them")
        return USAGE_ERROR
    if not options.files:
        return _init_project(options)
    mesh = Mesh(options.mesh) if options.mesh else None
    name = options.name or (options.output.stem if options.output else None)
    wanted = SpecAnswers(options.service, options.route, name, mesh, options.prometheus)
    manifests = read_manifests(options.files)
    for line in mistakes(manifests):
        complain(line)
    try:
        split = choose_split(manifests, wanted)
        name = experiment_name(split, wanted)
    except CannotInit as error:
        return _init_others(options, manifests, f"{error}")
    path = _new_path(options, name)
    if path is None:
        return USAGE_ERROR
    cohorts = cohorts_of(split, manifests, wanted)
    strategies = choose_strategies(manifests, options.strategy, split.service)
    if options.strategy and not strategies:
        return _no_strategy(options, manifests)
    strategy = tuple(split_strategy(strategies, is_wanted=bool(options.strategy)))
    text = _written(path, split, wanted, options.files, scope_of(split, wanted), cohorts, strategy)
    print(text, end="")
    if cohorts is not None and cohorts.needs_telemetry:
        beside = path.parent / "mesh" / f"{name}-cohorts.yaml"
        beside.parent.mkdir(exist_ok=True)
        write_atomically(beside, cohort_telemetry(cohorts, name, split.namespace))
        print(f"wrote {beside}: apply it, and the headers of the routes that it names")
    _say_written(path, text)
    return 0


def _write_checked(path: Path, text: str) -> None:
    """Writes a spec that is right. Raises InputError; then the path is as it was."""
    from flows.formats.atomic_file import write_atomically  # noqa: PLC0415
    from flows.workspace.experiments import load_spec  # noqa: PLC0415

    before = path.read_text("utf-8") if path.exists() else None
    write_atomically(path, text)
    try:
        load_spec(path)
    except InputError:
        if before is None:
            path.unlink()
        else:
            write_atomically(path, before)
        raise


def _say_written(path: Path, text: str) -> None:
    doubts = text.count("CHECK:")
    print(
        f"wrote {path}" + (f"; check the {counted(doubts, 'line')} marked CHECK" if doubts else "")
    )


def _new_path(options: argparse.Namespace, name: str) -> Path | None:
    """Where the spec is written; None, and said, where one is that must stay."""
    path: Path = options.output or options.workspace.experiments / f"{name}.yaml"
    if path.exists() and not options.force:
        complain(f"{path} is there already; --force overwrites it")
        return None
    return path


def _init_others(options: argparse.Namespace, manifests: Manifests, error: str) -> int:
    """The spec of a strategy, or templates of metrics, of files that split no traffic."""
    from flows.manifests.new_metrics import found_in, write_templates  # noqa: PLC0415
    from flows.manifests.strategy_spec import choose_strategies, listed  # noqa: PLC0415

    found = choose_strategies(manifests, options.strategy, options.service)
    splits = any(len(split.backends) > 1 for split in manifests.splits)
    if options.strategy and not found:
        return _no_strategy(options, manifests)
    if len(found) == 1 and (options.strategy or not splits):
        return _init_strategy(options, found[0])
    if found and not splits:
        complain(
            f"nothing splits traffic; {len(found)} strategies are configured, say which with "
            f"--strategy KIND (and --service NAME):{listed(found)}"
        )
        return USAGE_ERROR
    metrics = found_in(options.files, "version")
    if manifests.splits or not (metrics.converted or metrics.others):
        complain(error)
        return USAGE_ERROR
    for line in metrics.others:
        complain(line)
    folder = options.workspace.experiments / "metrics"
    for line in write_templates(folder, metrics, force=options.force):
        print(line)
    return 0 if metrics.converted else USAGE_ERROR


def _no_strategy(options: argparse.Namespace, manifests: Manifests) -> int:
    from flows.manifests.strategy_spec import choose_strategies, listed  # noqa: PLC0415

    there = listed(choose_strategies(manifests, None, None)) or " none"
    complain(
        f"the files configure no strategy {options.strategy} of this service; they have:{there}"
    )
    return USAGE_ERROR


def _init_strategy(options: argparse.Namespace, found: FoundStrategy) -> int:
    from flows.formats.atomic_file import write_atomically  # noqa: PLC0415
    from flows.manifests.new_spec import experiment_name_of  # noqa: PLC0415
    from flows.manifests.split_choice import CannotInit  # noqa: PLC0415
    from flows.manifests.strategy_spec import (  # noqa: PLC0415
        needs_labels,
        strategy_spec,
        strategy_telemetry,
    )

    said = options.name or (options.output.stem if options.output else None)
    try:
        name = experiment_name_of(said, found.origin.name)
    except CannotInit as error:
        complain(error)
        return USAGE_ERROR
    path = _new_path(options, name)
    if path is None:
        return USAGE_ERROR
    text = strategy_spec(
        found,
        name,
        files=options.files,
        spec_dir=path.parent,
        prometheus=options.prometheus,
    )
    _write_checked(path, text)
    print(text, end="")
    if needs_labels(found):
        beside = path.parent / "mesh" / f"{name}-labels.yaml"
        beside.parent.mkdir(exist_ok=True)
        write_atomically(beside, strategy_telemetry(found, name))
        print(f"wrote {beside}: apply it, so that the mesh's metrics have the labels")
    _say_written(path, text)
    return 0


def _init_project(options: argparse.Namespace) -> int:
    from flows.project.new_project import write_project  # noqa: PLC0415

    for field in _OF_MANIFESTS:
        if getattr(options, field) is not None:
            complain(f"--{field} is about manifests: name their files by --from")
            return USAGE_ERROR
    for line in write_project(options.workspace.root, force=options.force):
        print(line)
    print("next: verdict gate example")
    return 0


def _written(
    path: Path,
    split: Split,
    wanted: SpecAnswers,
    files: Sequence[Path],
    scope: str,
    cohorts: NewCohorts | None,
    strategy: Sequence[str],
) -> str:
    """The spec's text, with the metrics that are right in it. Raises InputError."""
    from flows.manifests.new_metrics import found_in, metric_lines  # noqa: PLC0415
    from flows.manifests.new_spec import new_spec  # noqa: PLC0415

    metrics = found_in(files, scope, f"{split.origin}")
    while True:
        lines = [*metric_lines(metrics), *strategy]
        text = new_spec(
            split, wanted, files=files, spec_dir=path.parent, metrics=lines, cohorts=cohorts
        )
        try:
            _write_checked(path, text)
        except InputError as error:
            metrics, before = metrics.without(error.problems), metrics
            if metrics == before:
                raise
        else:
            return text
