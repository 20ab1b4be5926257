"""The guide's experiments, all at once: what `make demo` shows and `tests.lab.record` records."""

from __future__ import annotations

from tests.lab.lab import Lab
from tests.lab.load_plan import Crowd, Profile
from tests.lab.topology import RouteSpec, ServiceSpec, VariantSpec

NAMESPACE = "edtech-production"
STAGES = (5, 25, 50)
_EXAM, _PROGRESS = "exam-service", "progress-service"
_PAYMENT, _LEARNING = "payment-service", "learning-module-service"


def _canary(name: str) -> ServiceSpec:
    variants = [
        VariantSpec("stable", "v2.0.0", weight=100 - STAGES[0]),
        VariantSpec("canary", "v2.1.0", weight=STAGES[0]),
    ]
    return ServiceSpec(name, NAMESPACE, variants)


def _ab_route(name: str, weights: dict[str, int], **headers: str) -> RouteSpec:
    return RouteSpec(
        name, weights, {k.replace("_", "-"): v for k, v in headers.items()}, sticky=True
    )


SERVICES = (
    _canary(_EXAM),
    _canary(_PROGRESS),
    ServiceSpec(
        _PAYMENT,
        NAMESPACE,
        [VariantSpec("blue", "blue", weight=100), VariantSpec("green", "green")],
        routes=[RouteSpec("test", {"green": 100}, {"deployment-test": "green"})],
    ),
    ServiceSpec(
        _LEARNING,
        NAMESPACE,
        [
            VariantSpec("stable", "stable", pods=1, weight=100),
            *(
                VariantSpec(name, name, pods=1)
                for name in (
                    "quiz-format-a",
                    "quiz-format-b",
                    "adaptive-algorithm-v1",
                    "adaptive-algorithm-v2",
                    "tagalog-enabled",
                )
            ),
        ],
        routes=[
            _ab_route("quiz", {"quiz-format-a": 50, "quiz-format-b": 50}, user_tier="premium"),
            _ab_route(
                "adaptive",
                {"adaptive-algorithm-v1": 70, "adaptive-algorithm-v2": 30},
                subject="mathematics",
            ),
            # Configured is 50/50; somebody mistyped the weights, and the split check must say so.
            _ab_route(
                "tagalog", {"stable": 60, "tagalog-enabled": 40}, feature_flag="tagalog-support"
            ),
        ],
    ),
)

PROFILES = (
    Profile(_EXAM, 100.0, "/api/v1/exams/7/questions"),
    Profile(_PROGRESS, 100.0, "/api/v1/progress"),
    Profile(_PAYMENT, 40.0, "/api/v1/payments"),
    Profile(_PAYMENT, 20.0, "/api/v1/payments", headers={"deployment-test": "green"}),
)

CROWDS = (
    Crowd(
        "quiz-format",
        _LEARNING,
        4000,
        {"quiz-format-a": 0.30, "quiz-format-b": 0.38},
        outcome="quiz_completed",
        headers={"user-tier": "premium"},
    ),
    Crowd(
        "adaptive-algorithm",
        _LEARNING,
        4000,
        {"adaptive-algorithm-v1": 0.50, "adaptive-algorithm-v2": 0.50},
        outcome="exercise_completed",
        headers={"subject": "mathematics"},
    ),
    Crowd(
        "tagalog-support",
        _LEARNING,
        3000,
        {"stable": 0.40, "tagalog-enabled": 0.42},
        outcome="lesson_completed",
        headers={"x-country-code": "PH", "feature-flag": "tagalog-support"},
    ),
)


def set_behaviours(lab: Lab) -> None:
    """Every service has a few errors; the canary of progress-service has 3 %."""
    for service in SERVICES:
        lab.set_behaviour(service.name, error_share=0.003)
    lab.set_behaviour(_PROGRESS, "canary", error_share=0.03)


def enter_stage(lab: Lab, percent: int) -> None:
    """Gives both canaries so many percent."""
    for name in (_EXAM, _PROGRESS):
        lab.set_weights(name, {"stable": 100 - percent, "canary": percent})
