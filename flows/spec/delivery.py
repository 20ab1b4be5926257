"""The spec's `delivery` section: where the weights are that `verdict deliver` changes."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, Tag, field_serializer, model_validator

from flows.formats.safe_text import HIDDEN, safe_url
from flows.spec.fields import URL_PATTERN, Duration, Name, Strict, Whole

OBJECT_PATTERN = r"^(TrafficSplit|VirtualService|HTTPRoute)/[a-z0-9]([a-z0-9.-]*[a-z0-9])?$"


class _Target(Strict):
    names: dict[Name, str] = Field(
        default_factory=dict,
        description="What the target calls the variants (service, subset, cluster), where it is "
        "not the variant's version or Service.",
    )
    route: str | None = Field(
        None,
        description="Name of the route that is shifted (of a VirtualService's or HTTPRoute's rule, "
        "or Envoy's); by default every one that splits between the variants.",
    )
    settle: Duration | None = Field(
        None,
        description="How long after a shift requests may still be split as before; by default 0 "
        "(Envoy), 15 s (Kubernetes), 5 min (git).",
    )


class EnvoyTarget(_Target):
    """A file of route configurations that Envoy watches."""

    envoy: str = Field(description="The file, relative to the spec.")
    admin: Annotated[str, Field(pattern=URL_PATTERN)] | None = Field(
        None, description="Envoy's admin address; with it a shift ends when Envoy has applied it."
    )

    @field_serializer("admin")
    def _kept_without_secrets(self, admin: str | None) -> str | None:
        return None if admin is None else safe_url(admin)


_DEPLOYMENT = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
DeploymentName = Annotated[str, Field(pattern=_DEPLOYMENT)]


class FreshBaseline(Strict):
    """A Deployment of the old image beside the candidate's, made and removed by the delivery."""

    name: DeploymentName = Field(description="What the Deployment is called that is made.")
    stable: DeploymentName = Field(description="The Deployment that has the old image.")
    candidate: DeploymentName = Field(
        description="The candidate's Deployment: as many pods, with the same resources."
    )
    rest: str = Field(
        min_length=1,
        description="What the target calls the receiver of all requests that aren't compared.",
    )


class KubernetesTarget(_Target):
    """An object of a Kubernetes cluster, changed by server-side apply."""

    kubernetes: str = Field(
        pattern=OBJECT_PATTERN, description="Kind and name, such as VirtualService/exam-service."
    )
    context: str | None = Field(
        None, description="Context of the kubeconfig; by default the current one."
    )
    kubeconfig: str | None = Field(
        None, description="Its file; by default that of the pod's own cluster, else ~/.kube/config."
    )
    fresh_baseline: FreshBaseline | None = Field(
        None,
        description="Compare with the old image in fresh pods: they get as many requests as the "
        "candidate, `rest` has what is left.",
    )


class GitTarget(_Target):
    """A manifest in a git work tree; a change is a commit."""

    git: str = Field(description="The manifest's file, relative to the spec.")
    object: str = Field(pattern=OBJECT_PATTERN, description="Kind and name within the file.")
    push: bool = Field(False, description="Push each commit to the branch's remote.")


def _kind_of_target(value: Any) -> str:
    for kind in ("envoy", "kubernetes", "git"):
        if kind in value if isinstance(value, dict) else hasattr(value, kind):
            return kind
    return "envoy"


TargetField = Annotated[
    Annotated[EnvoyTarget, Tag("envoy")]
    | Annotated[KubernetesTarget, Tag("kubernetes")]
    | Annotated[GitTarget, Tag("git")],
    Discriminator(_kind_of_target),
]


_SETTLES: dict[type[_Target], timedelta] = {
    KubernetesTarget: timedelta(seconds=15),
    GitTarget: timedelta(minutes=5),
}


_LONGEST_HOOK = timedelta(minutes=10)


class Hook(Strict):
    """What is called before a stage, or after the end: a command, or an HTTP POST."""

    when: Literal["before_stage", "after_promote", "after_rollback"] = Field(
        description="Before a stage, or after the delivery's end."
    )
    stage: Annotated[Whole, Field(ge=1)] | None = Field(
        None,
        description="before_stage: only before this one, from 1 (one more than there are: all "
        "traffic); by default before each.",
    )
    command: Annotated[list[str], Field(min_length=1)] | None = Field(
        None, description="The program and its arguments, run in the spec's folder."
    )
    http: Annotated[str, Field(pattern=URL_PATTERN)] | None = Field(
        None, description="Called by POST with JSON; any status below 300 is a success."
    )
    timeout: Duration = Field(timedelta(minutes=1), description="At most 10m; then it has failed.")

    @model_validator(mode="after")
    def _one_call(self) -> Self:
        if (self.command is None) == (self.http is None):
            raise ValueError("needs `command` or `http`")
        if self.stage is not None and self.when != "before_stage":
            raise ValueError("has a stage, which only before_stage has")
        if self.timeout > _LONGEST_HOOK:
            raise ValueError("has a timeout of more than 10m: harm is not watched for meanwhile")
        return self

    @property
    def program(self) -> str:
        """What its command is called, without what may be an argument of it."""
        return Path(re.split(r"[\s=]", (self.command or [""])[0])[0]).name

    # Arguments hold tokens, and so do the paths of webhooks: no verdict depends on them.
    @field_serializer("command")
    def _kept_without_arguments(self, command: list[str] | None) -> list[str] | None:
        return None if command is None else [self.program, *[HIDDEN] * (len(command) - 1)]

    @field_serializer("http")
    def _kept_without_path(self, http: str | None) -> str | None:
        return None if http is None else re.sub(r"(?<=[^:/])/[^/].*", f"/{HIDDEN}", safe_url(http))


class Delivery(Strict):
    """What the stages' weights are applied to."""

    target: TargetField = Field(
        description="Where the weights are written: Envoy, Kubernetes or git."
    )
    approval: bool = Field(
        False, description="A person must approve before all traffic goes to the candidate."
    )

    blind_for: Duration = Field(
        timedelta(minutes=10),
        validate_default=True,
        description="How long the candidate may have traffic without a valid verdict on it: a "
        "source, the warehouse or the target fails, or the data is not good. Also how long a "
        "delivery waits, before it begins, for the first series of its service.",
    )
    when_blind: Literal["ask", "roll_back"] = Field(
        "ask", description="What follows then: a person is asked, or all traffic goes back."
    )

    hooks: list[Hook] = Field(
        default_factory=list,
        description="Calls around the stages. One before a stage that fails keeps the delivery "
        "from it; none keeps it from going back.",
    )

    @property
    def is_fresh(self) -> bool:
        """Whether the baseline is a fresh one, with as many requests as the candidate."""
        return isinstance(self.target, KubernetesTarget) and bool(self.target.fresh_baseline)

    @property
    def settle(self) -> timedelta:
        """How long after a shift requests may still be split as before."""
        return self.target.settle or _SETTLES.get(type(self.target), timedelta(0))
