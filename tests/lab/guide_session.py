"""The session that is recorded: the traffic guide's services, all at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.lab.load_plan import Crowd, Profile
from tests.lab.topology import RouteSpec, ServiceSpec, VariantSpec

NAMESPACE = "edtech-production"
EXAM, PROGRESS, PAYMENT = "exam-service", "progress-service", "payment-service"
LEARNING = "learning-module-service"
CANARY_PERCENTS = (5, 25, 50)
CANARY_SERVICES = (EXAM, PROGRESS)
CANARY = VariantSpec("canary", "v2.1.0")

# What pods do everywhere: two failures and three slow answers in a thousand.
HEALTHY = {"error_share": 0.002, "base_ms": 12.0, "slow_share": 0.003, "slow_ms": 400.0}
BROKEN_ERROR_SHARE = 0.03

_ADAPTIVE = "/api/v1/adaptive-questions"


@dataclass(frozen=True, slots=True)
class Recorded:
    """One experiment of the session: what is configured, and what really happens."""

    experiment: str
    service: str
    mesh: str
    """The family to judge by: all families are there for every service."""
    baseline: str
    candidate: str
    truth: str
    """What an honest verdict must find."""
    configured: Mapping[str, int] = field(default_factory=dict)
    routed: Mapping[str, int] = field(default_factory=dict)


EXPERIMENTS = (
    Recorded("exam-service-canary", EXAM, "istio", "stable", "canary", "the canary is healthy"),
    Recorded(
        "progress-service-canary",
        PROGRESS,
        "linkerd",
        "stable",
        "canary",
        f"the canary fails {BROKEN_ERROR_SHARE:.0%} of its requests",
    ),
    Recorded(
        "payment-service-blue-green",
        PAYMENT,
        "istio",
        "blue",
        "green",
        "green gets test traffic only, and is healthy",
    ),
    Recorded(
        "quiz-format",
        LEARNING,
        "istio",
        "quiz-format-a",
        "quiz-format-b",
        "30 % complete with a, 38 % with b",
        configured={"quiz-format-a": 50, "quiz-format-b": 50},
        routed={"quiz-format-a": 50, "quiz-format-b": 50},
    ),
    Recorded(
        "adaptive-algorithm",
        LEARNING,
        "istio",
        "adaptive-algorithm-v1",
        "adaptive-algorithm-v2",
        "no difference: 35 % complete with either",
        configured={"adaptive-algorithm-v1": 70, "adaptive-algorithm-v2": 30},
        routed={"adaptive-algorithm-v1": 70, "adaptive-algorithm-v2": 30},
    ),
    Recorded(
        "tagalog-support",
        LEARNING,
        "istio",
        "stable",
        "tagalog-enabled",
        "the split is wrong: sample ratio mismatch",
        configured={"stable": 50, "tagalog-enabled": 50},
        routed={"stable": 60, "tagalog-enabled": 40},
    ),
)


def guide_services() -> list[ServiceSpec]:
    """The services at the start: no canary is there yet."""
    blue_green = [VariantSpec("blue", "v3.4.0", weight=100), VariantSpec("green", "v3.5.0")]
    test_traffic = RouteSpec("green-test", {"green": 100}, headers={"deployment-test": "green"})
    return [
        *(
            ServiceSpec(name, NAMESPACE, [VariantSpec("stable", "v2.0.0", weight=100)])
            for name in CANARY_SERVICES
        ),
        ServiceSpec(PAYMENT, NAMESPACE, blue_green, routes=[test_traffic]),
        _learning_service(),
    ]


def _learning_service() -> ServiceSpec:
    """The guide's three A/B tests on one service; a user stays with its variant."""
    tests = {one.experiment: one for one in EXPERIMENTS if one.service == LEARNING}
    names = dict.fromkeys(name for one in tests.values() for name in one.routed)
    variants = [
        VariantSpec(name, name, pods=1, weight=100 if name == "stable" else 0) for name in names
    ]
    quiz = {"user-tier": "premium", "experiment-group": "quiz-format"}
    tagalog = {"x-country-code": "PH", "feature-flag": "tagalog-support"}
    routes = [
        RouteSpec("quiz-format", tests["quiz-format"].routed, headers=quiz, sticky=True),
        RouteSpec(
            "adaptive-algorithm",
            tests["adaptive-algorithm"].routed,
            headers={"subject": "mathematics"},
            prefix=_ADAPTIVE,
            sticky=True,
        ),
        RouteSpec("tagalog-support", tests["tagalog-support"].routed, headers=tagalog, sticky=True),
    ]
    return ServiceSpec(LEARNING, NAMESPACE, variants, routes=routes)


def guide_profiles() -> list[Profile]:
    """Requests per second, and where to."""
    test = {"deployment-test": "green"}
    return [
        Profile(EXAM, 150, path="/api/v1/exams/17/questions"),
        Profile(PROGRESS, 120, path="/api/v1/progress"),
        Profile(PAYMENT, 40, path="/api/v1/payments", method="POST"),
        Profile(PAYMENT, 20, path="/api/v1/payments", method="POST", headers=test),
    ]


def guide_crowds(users: int) -> list[Crowd]:
    """The A/B tests' users, so many in each test."""
    return [
        Crowd(
            "quiz-format",
            LEARNING,
            users,
            {"quiz-format-a": 0.30, "quiz-format-b": 0.38},
            path="/api/v1/quizzes/next",
            complete_path="/api/v1/quizzes/complete",
            headers={"user-tier": "premium", "experiment-group": "quiz-format"},
        ),
        Crowd(
            "adaptive-algorithm",
            LEARNING,
            users,
            {"adaptive-algorithm-v1": 0.35, "adaptive-algorithm-v2": 0.35},
            path=_ADAPTIVE,
            complete_path=f"{_ADAPTIVE}/complete",
            headers={"subject": "mathematics"},
        ),
        Crowd(
            "tagalog-support",
            LEARNING,
            users,
            {"stable": 0.25, "tagalog-enabled": 0.25},
            path="/api/v1/modules",
            complete_path="/api/v1/modules/complete",
            headers={"x-country-code": "PH", "feature-flag": "tagalog-support"},
        ),
    ]
