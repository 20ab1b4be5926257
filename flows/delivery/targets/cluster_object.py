"""An object of a Kubernetes cluster: read, applied and deleted, errors told by what to do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from flows.delivery.targets.target import SplitChanged, TargetRefused, TargetUnavailable

FIELD_MANAGER = "split-verdict"
_GROUPS = {
    "TrafficSplit": ("split.smi-spec.io", "trafficsplits"),
    "VirtualService": ("networking.istio.io", "virtualservices"),
    "HTTPRoute": ("gateway.networking.k8s.io", "httproutes"),
    "Deployment": ("apps", "deployments"),
}
# Connecting and reading, in seconds.
_TIMEOUT = (5.0, 15.0)
# What else a role needs that may not do so much.
_GRANTED = {"get": "patch", "patch": "patch", "delete": "delete"}
_Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ClusterObject:
    """One object of a cluster.

    kubeconfig: a file; None for the cluster that one is in, else the default file. context: of the
    file; None for its current one.
    """

    kind: str
    name: str
    namespace: str
    kubeconfig: str | None = None
    context: str | None = None

    @property
    def title(self) -> str:
        """The object in words."""
        return f"{self.kind}/{self.name} in {self.namespace}"

    def get(self) -> _Json:
        """The object as the API server has it. Raises TargetUnavailable or TargetRefused."""
        found = self.find()
        if found is None:
            raise TargetRefused(f"there is no {self.title}")
        return found

    def find(self) -> _Json | None:
        """The same; None where there is no such object."""
        from kubernetes.client.exceptions import ApiException  # noqa: PLC0415

        group, plural = _GROUPS[self.kind]
        with self._api("get") as api:
            try:
                found: _Json = api.get_namespaced_custom_object(
                    group,
                    self._version(api),
                    self.namespace,
                    plural,
                    self.name,
                    _request_timeout=_TIMEOUT,
                )
            except ApiException as error:
                if error.status != 404:
                    raise
                return None
        return found

    def apply(self, body: _Json) -> _Json:
        """Applies the fields of the body as ours; the object as it then is.

        With a resourceVersion the API server refuses it if the object was changed meanwhile.
        Raises SplitChanged, TargetUnavailable or TargetRefused.
        """
        group, plural = _GROUPS[self.kind]
        with self._api("patch") as api:
            applied: _Json | None = api.patch_namespaced_custom_object(
                group,
                body["apiVersion"].partition("/")[2],
                self.namespace,
                plural,
                self.name,
                body,
                field_manager=FIELD_MANAGER,
                # Whoever made the object owns its fields; those are ours while we deliver.
                force=True,
                _content_type="application/apply-patch+yaml",
                _request_timeout=_TIMEOUT,
            )
        # The library hands on nothing of an object that is new.
        return self.get() if applied is None else applied

    def delete(self) -> None:
        """Deletes the object and what it made; one that is gone is no error.

        Raises TargetUnavailable or TargetRefused.
        """
        from kubernetes.client.exceptions import ApiException  # noqa: PLC0415

        group, plural = _GROUPS[self.kind]
        with self._api("delete") as api:
            try:
                api.delete_namespaced_custom_object(
                    group,
                    self._version(api),
                    self.namespace,
                    plural,
                    self.name,
                    propagation_policy="Background",
                    _request_timeout=_TIMEOUT,
                )
            except ApiException as error:
                if error.status != 404:
                    raise

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
                f"{self.title}: not allowed to {verb} it; grant get and {_GRANTED[verb]} on "
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
