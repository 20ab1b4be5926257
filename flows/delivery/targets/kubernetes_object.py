"""Weights in a TrafficSplit, VirtualService or HTTPRoute of a cluster, by server-side apply."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from flows.delivery.targets.manifest_weights import LISTS, changed_weights, read_weights
from flows.delivery.targets.target import (
    AppliedSplit,
    SplitChanged,
    TargetRefused,
    TargetUnavailable,
)

FIELD_MANAGER = "split-verdict"
FENCE, REASON = f"{FIELD_MANAGER}/fence", f"{FIELD_MANAGER}/reason"
_GROUPS = {
    "TrafficSplit": ("split.smi-spec.io", "trafficsplits"),
    "VirtualService": ("networking.istio.io", "virtualservices"),
    "HTTPRoute": ("gateway.networking.k8s.io", "httproutes"),
}
# Connecting and reading, in seconds.
_TIMEOUT = (5.0, 15.0)
_Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class KubernetesObject:
    """One object of a cluster.

    names: what the object calls the variants. kubeconfig: a file; None for the cluster that one is
    in, else the default file. context: of the file; None for its current one.
    """

    kind: str
    name: str
    namespace: str
    names: Mapping[str, str]
    kubeconfig: str | None = None
    context: str | None = None

    @property
    def title(self) -> str:
        """The target in words."""
        return f"{self.kind}/{self.name} in {self.namespace}"

    def read(self) -> AppliedSplit:
        """The split as the API server has it. Raises TargetUnavailable or TargetRefused."""
        with self._api("get") as api:
            return self._split(self._get(api))

    def shift(
        self, weights: Mapping[str, float], *, fence: int, expected: str, reason: str
    ) -> AppliedSplit:
        """Applies the list that holds the weights, as it was read but for the weights.

        The API server refuses it if the object was changed meanwhile; see TrafficTarget.shift.
        """
        with self._api("patch") as api:
            found = self._get(api)
            now = self._split(found)
            now.check(self.title, fence=fence, expected=expected)
            return self._split(self._apply(api, self._wanted(found, weights, fence, reason)))

    def _wanted(self, found: _Json, weights: Mapping[str, float], fence: int, reason: str) -> _Json:
        """What is applied: this list, whole, since the CRDs' lists are replaced as one."""
        field = LISTS[self.kind]
        spec = {field: copy.deepcopy(found["spec"][field])}
        for path, weight in changed_weights(found, self.names, weights).items():
            entry: Any = {"spec": spec}
            for part in ("spec", *path[1:-1]):
                entry = entry[part]
            entry[path[-1]] = weight
        return {
            "apiVersion": found["apiVersion"],
            "kind": self.kind,
            "metadata": {
                "name": self.name,
                "namespace": self.namespace,
                "resourceVersion": found["metadata"]["resourceVersion"],
                "annotations": {FENCE: str(fence), REASON: reason},
            },
            "spec": spec,
        }

    def _split(self, found: _Json) -> AppliedSplit:
        metadata = found["metadata"]
        fence = (metadata.get("annotations") or {}).get(FENCE, "0")
        if not fence.isdecimal():
            raise TargetRefused(
                f"{self.title}: its annotation {FENCE} is {fence!r}, must be a number: remove it"
            )
        weights = read_weights(found, self.names)
        return AppliedSplit(weights, int(fence), str(metadata["resourceVersion"]))

    def _get(self, api: Any) -> _Json:
        group, plural = _GROUPS[self.kind]
        found: _Json = api.get_namespaced_custom_object(
            group, self._version(api), self.namespace, plural, self.name, _request_timeout=_TIMEOUT
        )
        return found

    def _apply(self, api: Any, body: _Json) -> _Json:
        group, plural = _GROUPS[self.kind]
        applied: _Json = api.patch_namespaced_custom_object(
            group,
            body["apiVersion"].partition("/")[2],
            self.namespace,
            plural,
            self.name,
            body,
            field_manager=FIELD_MANAGER,
            # Whoever made the object owns the list; the weights are ours while we deliver.
            force=True,
            _content_type="application/apply-patch+yaml",
            _request_timeout=_TIMEOUT,
        )
        return applied

    def _version(self, api: Any) -> str:
        """The version that the cluster prefers."""
        from kubernetes.client import ApisApi  # noqa: PLC0415

        group, _ = _GROUPS[self.kind]
        for known in ApisApi(api.api_client).get_api_versions(_request_timeout=_TIMEOUT).groups:
            if known.name == group:
                preferred = known.preferred_version or known.versions[0]
                return str(preferred.version)
        raise TargetRefused(f"the cluster knows no {self.kind}: {group} isn't installed there")

    @contextmanager
    def _api(self, verb: str) -> Iterator[Any]:
        """The API, its errors told apart by what a person can do."""
        from kubernetes.client import CustomObjectsApi  # noqa: PLC0415 - takes a second
        from kubernetes.client.exceptions import ApiException  # noqa: PLC0415
        from urllib3.exceptions import HTTPError  # noqa: PLC0415

        try:
            with self._client() as client:
                yield CustomObjectsApi(client)
        except ApiException as error:
            raise self._told(error.status or 0, _message(error.body, error.reason), verb) from error
        except HTTPError as error:
            raise TargetUnavailable(
                f"the API server of {self.title} can't be reached: {error}"
            ) from error

    def _told(self, status: int, message: str, verb: str) -> Exception:
        group, plural = _GROUPS[self.kind]
        if status == 404:
            return TargetRefused(f"there is no {self.title}")
        if status in (401, 403):
            return TargetRefused(
                f"{self.title}: not allowed to {verb} it; grant get and patch on "
                f"{plural}.{group} ({message})"
            )
        if status == 409:
            return SplitChanged(f"{self.title} was changed while it was shifted ({message})")
        if status in (400, 415, 422):
            return TargetRefused(f"{self.title}: the cluster refuses the change ({message})")
        return TargetUnavailable(f"{self.title}: the API server answers {status} ({message})")

    def _client(self) -> Any:
        from kubernetes.client import ApiClient, Configuration  # noqa: PLC0415
        from kubernetes.config import (  # noqa: PLC0415
            ConfigException,
            load_incluster_config,
            load_kube_config,
        )

        settings = Configuration()
        settings.retries = 0
        try:
            if self.kubeconfig is None and self.context is None:
                try:
                    load_incluster_config(client_configuration=settings)  # type: ignore[no-untyped-call]
                    return ApiClient(settings)
                except ConfigException:
                    pass  # not within a cluster: the file is next
            load_kube_config(  # type: ignore[no-untyped-call]
                config_file=self.kubeconfig, context=self.context, client_configuration=settings
            )
        except ConfigException as error:
            raise TargetRefused(
                f"no cluster is known for {self.title}: {error} (delivery.target.kubeconfig)"
            ) from error
        return ApiClient(settings)


def _message(body: Any, reason: Any) -> str:
    """What the API server says in a Status object."""
    try:
        return str(json.loads(body)["message"])
    except (TypeError, ValueError, KeyError, RecursionError):
        return str(reason)
