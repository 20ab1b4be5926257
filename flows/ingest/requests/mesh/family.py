"""How the metric families of a mesh tell variant, route, outcome and latency of a request.

A family is a table (istio.py, linkerd.py, envoy.py); everything here works on any of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from analysis.requests.outcomes import RequestOutcome, Response
from flows.ingest.sources.samples import Matcher, Selector, SourceRefused
from flows.spec.experiment import Experiment, Mesh, Variant

Labels = Mapping[str, str]

UNATTRIBUTED = "unattributed"
# By which a scope names the Service: what a variant's own identity stands for.
_SERVICE_LABELS = frozenset({"destination_service_name"})
# Requests that reached no version; those that were wrong or refused were to reach none.
_REPORTED = frozenset((RequestOutcome.FAILURE, RequestOutcome.ABANDONED, RequestOutcome.INJECTED))


class SeriesRole(StrEnum):
    """What a series counts."""

    REQUESTS = "requests"
    LATENCY = "latency"
    OPTIONAL = "optional"


@dataclass(frozen=True, slots=True)
class View:
    """One place where requests are counted: a reporter, or a direction.

    where: conditions that select it.
    scope: conditions for the experiment's service and namespace.
    version_labels: labels that can name a variant's version; any of them may.
    names_service: whether the scope tells the service; if not, only series with the versions of
        the variants are read.
    identity_labels: labels of the workload or Service itself: where each variant names one, the
        scope's own condition on the service is left out.
    unreached: conditions, in the place of `where`, of requests that reached no pod, which others
        count: they are of no version, whatever they name, but none of the baseline's are read.
    """

    where: tuple[Matcher, ...]
    scope: Callable[[Experiment], tuple[Matcher, ...]]
    version_labels: tuple[str, ...]
    names_service: bool = True
    identity_labels: frozenset[str] = frozenset()
    unreached: tuple[Matcher, ...] = ()


@dataclass(frozen=True, slots=True)
class Family:
    """The metric families of one mesh.

    requests, latency, optional, shared: counter names; latency ones are histogram buckets with
        `le`, shared ones are optional and never name a version.
    views: by the spec's reporter.
    response: what the labels of a series say of how its requests ended.
    latency_tells: whether those of a latency series do.
    begun: counters of requests that have begun, each with its sign: those that never end have no
        other trace. They are optional too.
    has_no_version: whether the version labels of a series are only fallbacks.
    start_metrics: what tells a new process, best first.
    code_label: of the HTTP status. flag_label: of Envoy's response flags, where they are told;
        flag_counters: counters of those with one, in their place.
    """

    mesh: Mesh
    requests: tuple[str, ...]
    latency: tuple[str, ...]
    ms_per_unit: float
    views: Mapping[str, View]
    route_labels: tuple[str, ...]
    response: Callable[[Labels], Response]
    has_no_version: Callable[[Labels], bool] = field(default=lambda _: False)
    latency_tells: bool = True
    begun: Mapping[str, int] = field(default_factory=dict)
    optional: tuple[str, ...] = ()
    shared: tuple[str, ...] = ()
    start_metrics: tuple[str, ...] = ("process_start_time_seconds",)
    code_label: str = "status_code"
    flag_label: str = ""
    flag_counters: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def roles(self) -> dict[str, SeriesRole]:
        """The role of each metric name."""
        return (
            dict.fromkeys((*self.optional, *self.begun, *self.shared), SeriesRole.OPTIONAL)
            | dict.fromkeys(self.latency, SeriesRole.LATENCY)
            | dict.fromkeys(self.requests, SeriesRole.REQUESTS)
        )

    def route(self, labels: Labels) -> str:
        """The route's name; empty where the series have none."""
        return "/".join(labels[name] for name in self.route_labels if labels.get(name))


class VariantsOverlap(SourceRefused):
    """One series matches two variants: the spec can't tell them apart."""


def equals(**labels: str) -> tuple[Matcher, ...]:
    """Matchers that want exactly these label values."""
    return tuple(Matcher(label, "=", value) for label, value in labels.items())


def split_flags(text: str) -> tuple[str, ...]:
    """The flags of a text like "DI,FI" or "di fi", sorted; "-" and "" are none."""
    flags = re.split(r"[\s,;|]+", text.upper())
    return tuple(sorted({flag for flag in flags if flag not in ("", "-")}))


def unless_told(found: Response, told: Mapping[str, bool]) -> Response:
    """The response; a success with a flag for each label that it lacks, by which it may be none.

    told: by flag, whether the label is there. Versions of which one lacks it differ in that flag.
    """
    if found.outcome is not RequestOutcome.SUCCESS or all(told.values()):
        return found
    lacking = (flag for flag, is_told in told.items() if not is_told)
    return replace(found, flags=tuple(sorted((*found.flags, *lacking))))


def selectors(family: Family, spec: Experiment) -> tuple[Selector, ...]:
    """What to read so that the experiment's series travel and few others do."""
    view = family.views[spec.reporter]
    scope = _scope(view, spec)
    names_service = view.names_service and not _names_identities(view, spec)
    picks = ((),) if names_service else _picks(view, spec)
    versioned = dict.fromkeys((*family.requests, *family.latency, *family.optional, *family.begun))
    native = tuple(name.removesuffix("_bucket") for name in family.latency)
    unreached = (*_unreached(view, spec), *(m for m in scope if m not in view.where))
    elsewhere = family.requests if _unreached(view, spec) else ()
    return (
        *(Selector(metric, (*scope, *pick)) for metric in versioned for pick in picks),
        *(Selector(m, (*scope, *pick), native=True) for m in native for pick in picks),
        *(Selector(metric, (*unreached, *pick)) for metric in elsewhere for pick in picks),
        *(Selector(metric, scope) for metric in family.shared),
    )


def diagnostic_selectors(family: Family, spec: Experiment) -> tuple[tuple[Selector, ...], ...]:
    """Ever wider selections of the request counter, to say what exists where nothing matched."""
    view = family.views[spec.reporter]
    scope = _scope(view, spec)
    own = _own_picks(spec) if _names_identities(view, spec) else ((),)
    widths = (tuple((*scope, *pick) for pick in own), (view.where,), ((),))
    return tuple(tuple(Selector(m, s) for m in family.requests for s in width) for width in widths)


def _scope(view: View, spec: Experiment) -> tuple[Matcher, ...]:
    """Reporter, service and `match`; a label that the spec names itself is the spec's to choose."""
    named = set(spec.match).union(*(variant.labels for variant in spec.variants.values()))
    if _names_identities(view, spec):
        named |= _SERVICE_LABELS
    own = tuple(m for m in (*view.where, *view.scope(spec)) if m.label not in named)
    return own + equals(**spec.match)


def _names_identities(view: View, spec: Experiment) -> bool:
    """Whether the labels of each variant say which workload or Service it is."""
    return all(view.identity_labels & set(one.labels) for one in spec.variants.values())


def _own_picks(spec: Experiment) -> tuple[tuple[Matcher, ...], ...]:
    """One condition per variant: its labels."""
    return tuple(dict.fromkeys(equals(**variant.labels) for variant in spec.variants.values()))


def _picks(view: View, spec: Experiment) -> tuple[tuple[Matcher, ...], ...]:
    """One condition per version label, and one per variant that has only labels."""
    if _names_identities(view, spec):
        return _own_picks(spec)
    versions = sorted({v.version for v in spec.variants.values() if v.version is not None})
    pattern = "|".join(re.escape(version) for version in versions)
    by_version = ((Matcher(label, "=~", pattern),) for label in view.version_labels if versions)
    by_labels = (equals(**v.labels) for v in spec.variants.values() if v.version is None)
    return (*by_version, *by_labels)


def variant_conditions(family: Family, spec: Experiment, variant: str) -> tuple[Matcher, ...]:
    """What the series of one variant must have, by the mesh's first label of a version."""
    view, one = family.views[spec.reporter], spec.variants[variant]
    version = () if one.version is None else equals(**{view.version_labels[0]: one.version})
    return (*_scope(view, spec), *version, *equals(**one.labels))


def versions_of(family: Family, spec: Experiment, labels: Labels) -> tuple[str, ...]:
    """The versions that a series names; empty, "unknown" and mere fallbacks name none."""
    if family.has_no_version(labels):
        return ()
    values = (labels.get(name, "") for name in family.views[spec.reporter].version_labels)
    return tuple(value for value in values if value not in ("", "unknown"))


def variant_of(family: Family, spec: Experiment, labels: Labels, role: SeriesRole) -> str | None:
    """The variant that a series belongs to, `unattributed`, or None for somebody else's.

    Unattributed are failures that reached no version, or none of a candidate's pods, and shared
    counters.
    Raises VariantsOverlap when the series belongs to two variants.
    """
    versions = versions_of(family, spec, labels)
    found = [n for n, v in spec.variants.items() if _is_of_variant(v, versions, labels)]
    if len(found) > 1:
        raise VariantsOverlap(
            f"{spec.experiment}: a series of {labels.get('__name__', '?')} with version "
            f"{', '.join(versions) or 'none'} matches the variants {' and '.join(found)}; "
            "their version and labels must tell them apart"
        )
    if found and not _is_unreached(family.views[spec.reporter], spec, labels):
        return found[0]
    may_be_ours = found != [spec.baseline] if found else not versions
    return UNATTRIBUTED if may_be_ours and _is_reported(family, labels, role) else None


def cohort_of(spec: Experiment, labels: Labels) -> str:
    """The cohort whose labels a series has; empty if it is of none."""
    found = (
        name
        for name, cohort in spec.cohorts.items()
        if all(labels.get(label) == value for label, value in cohort.match.items())
    )
    return next(found, "")


def _unreached(view: View, spec: Experiment) -> tuple[Matcher, ...]:
    """What selects requests that reached no pod; nothing where the spec says itself who counts."""
    scope = _scope(view, spec)
    return view.unreached if all(matcher in scope for matcher in view.where) else ()


def _is_unreached(view: View, spec: Experiment, labels: Labels) -> bool:
    """Whether a series that was read is of such requests."""
    told = [m for m in view.unreached if m.op == "="]
    is_told = bool(told) and all(labels.get(m.label) == m.value for m in told)
    return is_told and bool(_unreached(view, spec))


def _is_of_variant(variant: Variant, versions: tuple[str, ...], labels: Labels) -> bool:
    if variant.version is None and not variant.labels:
        return False
    if variant.version is not None and variant.version not in versions:
        return False
    return all(labels.get(name) == value for name, value in variant.labels.items())


def _is_reported(family: Family, labels: Labels, role: SeriesRole) -> bool:
    """Whether a series without a version matters: failures and shared counters do."""
    if role is SeriesRole.REQUESTS:
        return family.response(labels).outcome in _REPORTED
    return labels["__name__"] in family.shared
