"""What is played in the lab: a scenario with its service, its load and its spec."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import yaml

from tests.lab.load_plan import Profile
from tests.lab.scenarios import Scenario
from tests.lab.strategy_cases import FITTED, Case
from tests.lab.topology import RouteSpec, ServiceSpec, VariantSpec
from tests.places import REPOSITORY

_TEST = {"deployment-test": "green"}
_FOLDER = REPOSITORY / "experiments"


@dataclass(frozen=True, slots=True)
class Play:
    """kind: by which it can be asked for. spec: from Prometheus' URL; None for the lab's own."""

    kind: str
    scenario: Scenario
    service: ServiceSpec
    profiles: tuple[Profile, ...]
    spec: Callable[[str], str] | None = None


def of_scenario(one: Scenario) -> Play:
    """A canary of the lab's own."""
    canary = 0 if one.stages else one.applied
    service = ServiceSpec(
        one.service,
        "edtech-production",
        [
            VariantSpec("stable", "v1", pods=one.pods, weight=100 - canary),
            VariantSpec("canary", "v2", pods=one.pods, weight=canary),
        ],
        routes=[RouteSpec("test", {"canary": 100}, headers=_TEST)] if one.test_rate else [],
    )
    profiles = [Profile(one.service, one.rate)]
    if one.test_rate:
        profiles.append(Profile(one.service, one.test_rate, headers=_TEST))
    return Play(one.service, one, service, tuple(profiles))


def of_case(case: Case) -> Play:
    """A strategy, by its spec in a folder of experiments with the lab's names and server."""

    def spec(prometheus_url: str) -> str:
        (file,) = _FOLDER.glob(f"*/{case.strategy}.yaml")
        text = file.read_text()
        service, name = yaml.safe_load(text)["service"], case.topology.name
        written = yaml.safe_load(text.replace(f"{service}-", f"{name}-"))
        written |= {"experiment": name, "service": name}
        for source in written["sources"].values():
            source |= {"prometheus": prometheus_url, "scrape_interval": "1s"}
        return yaml.safe_dump(_merged(_merged(written, FITTED), case.spec), sort_keys=False)

    return Play(case.strategy, case.scenario, case.topology, case.profiles, spec)


def _merged(spec: dict[str, Any], own: Any) -> dict[str, Any]:
    inner = {
        name: _merged(spec.get(name) or {}, value) if isinstance(value, dict) else value
        for name, value in own.items()
    }
    return {name: value for name, value in {**spec, **inner}.items() if value is not None}
