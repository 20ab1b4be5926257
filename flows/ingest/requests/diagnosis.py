"""Why a pull found nothing that it could count: one sentence that says what there is instead."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from difflib import SequenceMatcher

from flows.formats.time import instant, milliseconds_of
from flows.ingest.requests.mesh.families import FAMILIES
from flows.ingest.requests.mesh.family import (
    UNATTRIBUTED,
    Family,
    Labels,
    SeriesRole,
    diagnostic_selectors,
    variant_of,
    versions_of,
)
from flows.ingest.requests.remedies import how_to_tell_apart, own_services, services_alike
from flows.ingest.requests.series_labels import normalised
from flows.ingest.sources.samples import (
    Matcher,
    SampleSource,
    Selector,
    SourceRefused,
    SourceUnavailable,
)
from flows.spec.experiment import Experiment

# Enough to see what is there, little enough to read on any server.
_LOOK_BACK_MS = 1_800_000
_MOST_VALUES = 10


class NothingCounted(SourceRefused):
    """No series of the service yet: its first ones may be scraped later."""


class NoSuchMetric(NothingCounted):
    """The source has no series of the mesh's request counter at all."""


class NoSeries(NothingCounted):
    """The source has the metric, but nothing for this service."""


class NoVersionLabel(SourceRefused):
    """The service's series carry none of the labels that tell versions apart."""


class NoSuchVersion(SourceRefused):
    """The service's series name versions, but none of those in the spec."""


class WindowInFuture(SourceRefused):
    """Requests were asked for that haven't happened yet."""


def check_not_in_future(spec: Experiment, until_ms: int, now_ms: int) -> None:
    """Raises WindowInFuture if until_ms is later than now, a minute of clock skew allowed."""
    if until_ms > now_ms + 60_000:
        raise WindowInFuture(
            f"{spec.experiment}: requests were asked for until {_time(until_ms)}, "
            f"which is in the future (now {_time(now_ms)})"
        )


def nothing_to_count(
    family: Family, spec: Experiment, source: SampleSource, *, start_ms: int, until_ms: int
) -> SourceRefused:
    """The error to raise after no series of start_ms..until_ms belonged to any variant."""
    # Slow to import, and needed only where nothing is found.
    from flows.ingest.sources.recording import Recording  # noqa: PLC0415

    start = milliseconds_of(spec.plan.start) if spec.plan.start else start_ms
    is_planned = spec.plan.start is not None
    if isinstance(source, Recording) and (
        said := source.outside(start, until_ms, is_planned=is_planned)
    ):
        return NoSeries(f"{spec.experiment}: {said}")
    recent = max(start_ms, until_ms - _LOOK_BACK_MS)
    of_service, of_view, any_series = diagnostic_selectors(family, spec)
    # Once the service is found, its whole past tells what versions there were.
    for selectors, start in ((of_service, recent), (of_service, start_ms)):
        if found := _labels(source, selectors, start, until_ms):
            alike = _labels(source, services_alike(spec, of_service), recent, until_ms)
            return _no_version(family, spec, found, alike)
    wanted = of_service[0].matchers
    for selectors in (of_view, any_series):
        if found := _labels(source, selectors, recent, until_ms):
            return _no_series(family, spec, wanted, found)
    return _no_metric(family, spec, source, recent, until_ms)


def missing_variants(
    family: Family, spec: Experiment, seen: Iterable[str], foreign_versions: Iterable[str]
) -> tuple[str, ...]:
    """A sentence for each variant that no series belongs to."""
    labels = " or ".join(family.views[spec.reporter].version_labels)
    others = _values(foreign_versions)
    return tuple(
        f"variant {name}: no series has {_identity(spec, name, labels)}"
        + (f"; other versions that do exist: {others}" if others else "")
        for name in spec.variants
        if name not in seen
    )


def unseen_variants(
    family: Family,
    spec: Experiment,
    source: SampleSource,
    variants: Iterable[str],
    *,
    start_ms: int,
    until_ms: int,
) -> tuple[str, ...]:
    """A sentence for each of the variants that no series names: label, value, what there is.

    Asks the source for the last half hour before until_ms, and for all since start_ms where that
    is empty. Nothing is said where the service has no series at all: a pull refuses that.
    """
    of_service = diagnostic_selectors(family, spec)[0]
    recent = max(start_ms, until_ms - _LOOK_BACK_MS)
    found = _labels(source, of_service, recent, until_ms)
    found = found or _labels(source, of_service, start_ms, until_ms)
    if not found:
        return ()
    sentences = [said for name in variants if (said := _unseen(family, spec, name, found))]
    if sentences:
        alike = _labels(source, services_alike(spec, of_service), recent, until_ms)
        sentences[-1] += how_to_tell_apart(family, spec, found, alike)
    return tuple(sentences)


def other_versions(
    family: Family, spec: Experiment, source: SampleSource, *, until_ms: int
) -> tuple[str, ...]:
    """A sentence on versions of the service that had requests lately and are no variant's.

    Empty without any, and where the metrics don't tell which Service a series is of.
    """
    if not family.views[spec.reporter].names_service:
        return ()
    of_service = diagnostic_selectors(family, spec)[0]
    found = _labels(source, of_service, until_ms - _LOOK_BACK_MS, until_ms)
    of_nobody = (
        versions_of(family, spec, labels)
        for labels in found
        if variant_of(family, spec, labels, SeriesRole.REQUESTS) in (None, UNATTRIBUTED)
    )
    others = {" and ".join(dict.fromkeys(versions)) for versions in of_nobody} - {""}
    if not others:
        return ()
    sentence = (
        f"{spec.service} also has requests of {_closest(others, '')}, which is of no variant: name "
        "it under `variants` (as the `version` of the one it replaces), or leave it out by `match`"
    )
    return (sentence,)


def _unseen(family: Family, spec: Experiment, name: str, found: Sequence[Labels]) -> str:
    """Empty if each condition of the variant is met by some series."""
    variant = spec.variants[name]
    labels = family.views[spec.reporter].version_labels
    versions = [v for series in found for v in versions_of(family, spec, series)]
    asked = [] if variant.version is None else [(" or ".join(labels), variant.version, versions)]
    asked += [
        (label, value, [series.get(label, "") or "absent" for series in found])
        for label, value in variant.labels.items()
    ]
    missing = [
        f'{label} "{value}"; the values that exist are {_closest(values, value) or "none"}'
        for label, value, values in asked
        if value not in values
    ]
    if not missing:
        return ""
    view = family.views[spec.reporter]
    where = f"of {spec.service}" if view.names_service else f"in {spec.namespace}"
    return f"variant {name}: no series {where} has {' and none has '.join(missing)}"


def _identity(spec: Experiment, name: str, version_labels: str) -> str:
    variant = spec.variants[name]
    parts = [] if variant.version is None else [f'{version_labels} = "{variant.version}"']
    parts += [f'{label} = "{value}"' for label, value in variant.labels.items()]
    return " and ".join(parts)


def _no_version(
    family: Family, spec: Experiment, found: Sequence[Labels], alike: Sequence[Labels]
) -> SourceRefused:
    names = family.views[spec.reporter].version_labels
    start = f"{spec.experiment}: {family.requests[0]} of {spec.service}"
    if not any(labels.get(name) for labels in found for name in names):
        carried = _values({name for labels in found for name in labels} - {"__name__"}, most=40)
        return NoVersionLabel(
            f"{start} has no label {' or '.join(names)}, so versions can't be told apart; "
            f"its labels are {carried}. Name one per variant under `labels:`"
            + how_to_tell_apart(family, spec, found, alike)
        )
    versions = _values({v for labels in found for v in versions_of(family, spec, labels)})
    wanted = "; ".join(_identity(spec, name, " or ".join(names)) for name in spec.variants)
    return NoSuchVersion(
        f"{start} has no series of any variant (wanted {wanted}); "
        f"versions that do exist: {versions or 'none but unknown'}"
        + how_to_tell_apart(family, spec, found, alike)
    )


def _no_series(
    family: Family, spec: Experiment, wanted: Sequence[Matcher], found: Sequence[Labels]
) -> SourceRefused:
    fields = {spec.namespace: " (set `namespace`)", spec.reporter: " (set `reporter`)"}
    hints = [
        f"{matcher.label} is {values}{fields.get(matcher.value, '')}"
        for matcher in wanted
        if (values := _values({labels.get(matcher.label, "") or "absent" for labels in found}))
        and not any(labels.get(matcher.label) == matcher.value for labels in found)
    ]
    conditions = ", ".join(f'{m.label}{m.op}"{m.value}"' for m in wanted)
    there = "; ".join(hints) if hints else "each condition matches alone, but never all together"
    return NoSeries(
        f"{spec.experiment}: no series of {family.requests[0]}{{{conditions}}}; "
        f"among the series that do exist {there}{own_services(spec, wanted, found)}"
    )


def _no_metric(
    family: Family, spec: Experiment, source: SampleSource, start_ms: int, until_ms: int
) -> SourceRefused:
    others = [
        other.mesh
        for other in FAMILIES.values()
        if _labels(source, [Selector(metric) for metric in other.requests], start_ms, until_ms)
    ]
    there = f"; there are series of mesh {_values(others)}" if others else "; nor of any other mesh"
    there += _metrics_there(source, family.requests)
    return NoSuchMetric(
        f"{spec.experiment}: the source has no series of {' or '.join(family.requests)} "
        f"(mesh {family.mesh}) between {_time(start_ms)} and {_time(until_ms)}{there}"
    )


def _metrics_there(source: SampleSource, wanted: Sequence[str]) -> str:
    """The metrics that the source does have: a relabelling may have given them a prefix."""
    # What the server has to say of this is of no use to who reads what is missing.
    with suppress(SourceUnavailable, SourceRefused):
        names = source.metric_names()
        if there := [name for name in wanted if name in names]:
            asked = "is there traffic, is it scraped, and is plan.start right?"
            return f". It has {there[0]} of another time: {asked}"
        if names:
            near = _closest(names, wanted[0])
            return f". The metrics it has that are most like that are {near}"
        return ". It has no metrics at all"
    return ""


def _labels(
    source: SampleSource, selectors: Sequence[Selector], start_ms: int, until_ms: int
) -> list[Labels]:
    return [normalised(labels) for labels in source.read(selectors, start_ms, until_ms).labels]


def _values(values: Iterable[str], most: int = _MOST_VALUES) -> str:
    """The values in order, the rest counted."""
    known = sorted({str(value) for value in values})
    more = f" and {len(known) - most} more" if len(known) > most else ""
    return ", ".join(known[:most]) + more


def _closest(values: Iterable[str], wanted: str) -> str:
    """The values most like the wanted one, in order, the rest counted: it may be misspelt."""
    known = sorted(set(values))
    nearest = sorted(known, key=lambda value: -SequenceMatcher(None, wanted, value).ratio())
    more = f" and {len(known) - _MOST_VALUES} more" if len(known) > _MOST_VALUES else ""
    return ", ".join(sorted(nearest[:_MOST_VALUES])) + more


def _time(ms: int) -> str:
    value: datetime = instant(ms)
    return f"{value:%Y-%m-%d %H:%M:%S} UTC"
