"""`verdict init`: a new experiment from the manifests that configure its split."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from flows.cli.arguments import USAGE_ERROR, Commands, command
from flows.workspace.paths import Workspace

_MESHES = ("istio", "linkerd", "linkerd-route", "linkerd-policy", "envoy")


def add(commands: Commands) -> None:
    """Adds the command."""
    init = command(
        commands, "init", _init, "write a spec from mesh manifests and report mistakes in them"
    )
    init.add_argument(
        "--from",
        dest="files",
        nargs="+",
        type=Path,
        required=True,
        metavar="FILE",
        help="TrafficSplit, VirtualService, HTTPRoute, Flagger Canary, Argo Rollout, ...",
    )
    init.add_argument("--service", help="which service, if the files have several")
    init.add_argument("--route", metavar="TEXT", help="which route, if the files have several")
    init.add_argument("--name", help="experiment name (default: the manifest's)")
    init.add_argument("--mesh", choices=_MESHES, help="if the manifest doesn't name it")
    init.add_argument(
        "--prometheus", metavar="URL", help="Prometheus server with the request metrics"
    )
    init.add_argument("--output", type=Path, help="default: experiments/NAME.yaml")
    init.add_argument("--force", action="store_true", help="overwrite an existing spec")


def _init(options: argparse.Namespace) -> int:
    from flows.manifests.new_spec import (  # noqa: PLC0415
        CannotInit,
        SpecAnswers,
        choose_split,
        experiment_name,
        new_spec,
    )
    from flows.manifests.read import read_manifests  # noqa: PLC0415
    from flows.manifests.spec_split import mistakes  # noqa: PLC0415
    from flows.spec.experiment import Mesh  # noqa: PLC0415
    from flows.workspace.experiments import load_spec  # noqa: PLC0415

    mesh = Mesh(options.mesh) if options.mesh else None
    wanted = SpecAnswers(options.service, options.route, options.name, mesh, options.prometheus)
    manifests = read_manifests(options.files)
    for line in mistakes(manifests):
        print(line, file=sys.stderr)
    try:
        split = choose_split(manifests, wanted)
        name = experiment_name(split, wanted)
    except CannotInit as error:
        print(error, file=sys.stderr)
        return USAGE_ERROR
    path = options.output or Workspace(options.root).experiments / f"{name}.yaml"
    if path.exists() and not options.force:
        print(f"{path} is there already; --force overwrites it", file=sys.stderr)
        return USAGE_ERROR
    path.parent.mkdir(parents=True, exist_ok=True)
    text = new_spec(split, wanted, files=options.files, spec_dir=path.parent)
    path.write_text(text, encoding="utf-8")
    print(text, end="")
    load_spec(path)
    doubts = text.count("CHECK:")
    print(f"wrote {path}" + (f"; look at the {doubts} lines with CHECK" if doubts else ""))
    return 0
