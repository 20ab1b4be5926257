"""One Kubernetes object of a YAML file, and what the objects beside it tell about it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from flows.formats.problems import FieldPath
from flows.formats.yaml_file import YamlDocument
from flows.manifests.split import Backend, Origin
from flows.manifests.values import fields_of, items_of, text_of

Labels = tuple[tuple[str, str], ...]
UNNAMED_NAMESPACE = "default"
"""Of an object that leaves its namespace to the command that applies it."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """One object. at: its path in the document (an item of a List stands at items, 0).

    group, version: the two parts of apiVersion. namespace: "default" where none is written.
    """

    document: YamlDocument
    at: FieldPath
    data: dict[str, Any]
    group: str
    version: str
    kind: str
    name: str
    namespace: str

    @property
    def spec(self) -> dict[str, Any]:
        """Its spec; empty if it has none."""
        return fields_of(self.data.get("spec"))

    @property
    def api_version(self) -> str:
        """Its apiVersion as written; "no apiVersion" where there is none."""
        return f"{self.group}/{self.version}".lstrip("/") or "no apiVersion"

    @property
    def texts(self) -> dict[FieldPath, str]:
        """What stands in the file for its numbers, times and truth values, by their paths."""
        depth = len(self.at)
        texts = self.document.texts.items()
        return {path[depth:]: text for path, text in texts if path[:depth] == self.at}

    def labels(self, *path: str | int) -> Labels:
        """The labels at a path as they stand in the file, sorted by name; none where none is."""
        found: Any = self.data
        for step in path:
            found = found[step] if isinstance(step, int) else fields_of(found).get(step)
        where = (*self.at, *path)
        labels = {
            name: _written(self.document, (*where, name), value)
            for name, value in fields_of(found).items()
        }
        return tuple(sorted((name, text) for name, text in labels.items() if text is not None))

    def line(self, path: FieldPath) -> int:
        """The line of a field of it."""
        return self.document.line((*self.at, *path))

    def origin(self, route: str = "", path: FieldPath = ()) -> Origin:
        """Where something in it comes from."""
        line = self.line(path) if path else self.document.line(self.at)
        return Origin(self.document.file, line, self.kind, self.namespace, self.name, route)

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"


def manifests_of(document: YamlDocument) -> Iterator[Manifest]:
    """The objects of a document: itself, or the items of a List. Other documents have none.

    Items of a VirtualServiceList (of any kind's list) needn't repeat its kind.
    """
    yield from _objects(document, document.data, (), depth=0)


def _objects(document: YamlDocument, data: Any, at: FieldPath, *, depth: int) -> Iterator[Manifest]:
    if not isinstance(data, dict) or not isinstance(data.get("kind"), str):
        return
    if data["kind"].endswith("List") and isinstance(data.get("items"), list) and depth < 3:
        named = {"apiVersion": data.get("apiVersion"), "kind": data["kind"].removesuffix("List")}
        for index, item in enumerate(data["items"]):
            whole = {**named, **item} if named["kind"] and isinstance(item, dict) else item
            yield from _objects(document, whole, (*at, "items", index), depth=depth + 1)
        return
    metadata = fields_of(data.get("metadata"))
    group, _, version = (text_of(data.get("apiVersion")) or "").rpartition("/")
    named = {
        field: _written(document, (*at, "metadata", field), metadata.get(field))
        for field in ("name", "generateName", "namespace")
    }
    name = named["name"] or named["generateName"] or "(no name)"
    namespace = named["namespace"] or UNNAMED_NAMESPACE
    yield Manifest(document, at, data, group, version, data["kind"], name, namespace)


def _written(document: YamlDocument, path: FieldPath, value: Any) -> str | None:
    """The text that was meant: a number or truth value as it stands in the file, 1.10 not 1.1."""
    if value is None or isinstance(value, str | dict | list):
        return text_of(value)
    return document.texts.get(path) or str(value)


# Top-level domains that nobody takes for a namespace; the two-letter ones are countries.
_DOMAINS = frozenset(
    {"com", "org", "net", "edu", "gov", "mil", "int", "info", "biz", "xyz"}
    | {"example", "invalid", "local", "localhost", "localdomain", "lan"}
)


def is_cluster_name(host: str) -> bool:
    """Whether the name says itself that it is a Service's: exam, exam.prod.svc, ..svc.cluster..."""
    labels = _labels(host)
    return len(labels) == 1 or (len(labels) > 2 and labels[2] == "svc")


def _labels(host: str) -> list[str]:
    return host.rstrip(".").split(".")


@dataclass(frozen=True, slots=True)
class ManifestSet:
    """Every object of the files: they name each other.

    Objects of another namespace count only where this one has none of that name, because many
    manifests leave the namespace to the command that applies them.
    """

    manifests: tuple[Manifest, ...]
    _by_kind: dict[str, list[Manifest]] = field(init=False, default_factory=dict)
    _namespaces: set[str] = field(init=False, default_factory=set)
    _outside: set[str] = field(init=False, default_factory=set)

    def __post_init__(self) -> None:
        for manifest in self.manifests:
            self._by_kind.setdefault(manifest.kind, []).append(manifest)
            self._namespaces.add(
                manifest.name if manifest.kind == "Namespace" else manifest.namespace
            )
        for entry in self.of_kind("ServiceEntry"):
            self._outside.update(map(str, items_of(entry.spec.get("hosts"))))

    def find_service(
        self, host: str, namespace: str, *, is_public: bool = False
    ) -> tuple[str, str] | None:
        """The Service and its namespace that a host name means; None for a name outside.

        A name such as exam.prod may be either: it is outside if a ServiceEntry has it, else a
        Service if an object of the files is in that namespace, else outside if it ends like a
        domain. is_public: whether the host is one that clients outside the cluster call, which
        makes every name with a dot a domain unless the files or the name say otherwise.
        """
        name, *rest = _labels(host)
        if host in self._outside or not name or "*" in host:
            return None
        if is_cluster_name(host):
            return name, rest[0] if rest else namespace
        if len(rest) != 1:
            return None
        is_domain = is_public or len(rest[0]) == 2 or rest[0].lower() in _DOMAINS
        return None if is_domain and rest[0] not in self._namespaces else (name, rest[0])

    def service_of(self, host: str, namespace: str) -> tuple[str, str]:
        """The Service and namespace of a destination; a name outside the cluster stays whole."""
        return self.find_service(host, namespace) or (host, namespace)

    def of_kind(self, kind: str) -> list[Manifest]:
        """The objects of a kind, in the order of the files."""
        return self._by_kind.get(kind, [])

    def named(self, kind: str, name: str, namespace: str) -> Manifest | None:
        """The object of that name, its own namespace first."""
        found = [item for item in self.of_kind(kind) if item.name == name]
        return next(iter([item for item in found if item.namespace == namespace] or found), None)

    def rules_for(self, service: str, namespace: str) -> list[Manifest]:
        """The DestinationRules of a service; those of other namespaces where its own has none."""
        hosts = [
            (rule, *self.service_of(text_of(rule.spec.get("host")) or "", rule.namespace))
            for rule in self.of_kind("DestinationRule")
        ]
        rules = [(rule, space) for rule, name, space in hosts if name == service]
        return [rule for rule, space in rules if space == namespace] or [rule for rule, _ in rules]

    def subset_labels(self, service: str, namespace: str, subset: str) -> Labels | None:
        """The labels of a subset; None if no DestinationRule has it."""
        for rule in self.rules_for(service, namespace):
            for place, item in enumerate(items_of(rule.spec.get("subsets"))):
                if fields_of(item).get("name") == subset:
                    return rule.labels("spec", "subsets", place, "labels")
        return None

    def backend(
        self, service: str, namespace: str, *, subset: str | None = None, percent: float | None
    ) -> Backend:
        """The receiver of that name, with the labels and the workload behind it."""
        object_ = self.named("Service", service, namespace)
        selector = object_.labels("spec", "selector") if object_ else ()
        chosen = self.subset_labels(service, namespace, subset) or () if subset else ()
        labels = tuple(sorted((dict(selector) | dict(chosen)).items()))
        deployment = self._deployment(labels, namespace) if labels else None
        return Backend(subset or service, service, namespace, percent, subset, labels, deployment)

    def _deployment(self, labels: Labels, namespace: str) -> str | None:
        """The one Deployment whose pods have these labels."""
        wanted, pods = set(labels), ("spec", "template", "metadata", "labels")
        found = [
            item
            for item in self.of_kind("Deployment")
            if wanted <= set(item.labels(*pods)) and wanted
        ]
        near = [item for item in found if item.namespace == namespace] or found
        return near[0].name if len(near) == 1 else None


def tell_apart(backends: list[Backend]) -> tuple[Backend, ...]:
    """The backends with names that differ: a subset of two services gets the service's name too.

    One that is listed several times (by ports, or with other headers) is one, with all their share.
    """
    merged: dict[tuple[str, str, str | None, str | None], Backend] = {}
    for backend in backends:
        key = (backend.service, backend.namespace, backend.subset, backend.cluster)
        first = merged.setdefault(key, backend)
        if first is not backend and backend.percent is not None:
            merged[key] = replace(first, percent=(first.percent or 0.0) + backend.percent)
    backends = list(merged.values())
    names = [backend.name for backend in backends]
    seen: dict[str, int] = {}
    told = []
    for backend in backends:
        name = backend.name
        if names.count(name) > 1 and backend.subset:
            name = f"{backend.service}-{backend.subset}"
        seen[name] = seen.get(name, 0) + 1
        told.append(replace(backend, name=name if seen[name] == 1 else f"{name}-{seen[name]}"))
    return tuple(told)


def busiest(backends: list[Backend]) -> tuple[str, str]:
    """Service and namespace of the backend with most traffic, the first of equals."""
    backend = max(backends, key=lambda one: one.percent or 0.0)
    return backend.service, backend.namespace
