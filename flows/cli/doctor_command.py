"""`verdict doctor`: whether what experiments stand on is well, and what to do where it isn't."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict

from flows.cli.arguments import USAGE_ERROR, Commands, add_experiment, command
from flows.cli.lines import complain, say
from flows.formats.text import counted


def add(commands: Commands) -> None:
    """Adds the command."""
    doctor = command(
        commands,
        "doctor",
        _doctor,
        "check specs, files, servers, disk and memory, and print remedies; exit 2 if a check fails",
    )
    add_experiment(doctor, several=True)
    doctor.add_argument("--json", action="store_true", help="print the findings as JSON")


def _doctor(options: argparse.Namespace) -> int:
    from flows.doctor.examine import examine, is_well  # noqa: PLC0415
    from flows.doctor.health_finding import Health, HealthFinding  # noqa: PLC0415
    from flows.workspace.experiments import select, select_readable  # noqa: PLC0415

    names = options.experiments
    chosen = select(options.workspace, names) if names else select_readable(options.workspace)
    findings: list[HealthFinding] = []
    for finding in examine(options.workspace, chosen):
        findings.append(finding)
        if not options.json and not (options.quiet and finding.health is not Health.FAIL):
            say(f"{finding.health.value:6}  {finding.subject}: {finding.found}", indent=" " * 8)
            if finding.remedy:
                say(f"        -> {finding.remedy}", indent=" " * 11)
    if options.json:
        print(json.dumps([asdict(finding) for finding in findings], indent=2))
    if is_well(findings):
        return 0
    if not options.json:
        failed = sum(finding.health is Health.FAIL for finding in findings)
        complain(f"{counted(failed, 'check')} failed")
    return USAGE_ERROR
