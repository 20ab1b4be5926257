"""A Kubernetes API server for tests: a real one where there is one, else a stand-in.

A real kube-apiserver is in no package that tests may install. Where KUBE_APISERVER and ETCD name
the two programs, the same tests run on it; that is how the stand-in was checked (1.20.2).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
import yaml

from tests.lab.processes import Child, PortPool, wait_until
from tests.places import PATIENCE_S
from tests.servers.stand_in import StandIn

ADMIN, STRANGER = "admin-token", "stranger-token"
_CRDS = {
    "TrafficSplit": ("split.smi-spec.io", "trafficsplits", "v1alpha2"),
    "VirtualService": ("networking.istio.io", "virtualservices", "v1beta1"),
    "HTTPRoute": ("gateway.networking.k8s.io", "httproutes", "v1"),
}


_KINDS = {**_CRDS, "Deployment": ("apps", "deployments", "v1")}


@dataclass(frozen=True, slots=True)
class Cluster:
    """An API server with the three kinds installed; its certificate is not checked."""

    url: str
    folder: Path
    namespace: str = "shop"

    def _path(self, kind: str, name: str) -> str:
        group, plural, version = _KINDS[kind]
        return f"/apis/{group}/{version}/namespaces/{self.namespace}/{plural}/{name}"

    def kubeconfig(self, token: str = ADMIN, url: str | None = None) -> str:
        """The path of a file by which a client finds the cluster."""
        server = {"server": url or self.url, "insecure-skip-tls-verify": True}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "clusters": [{"name": "test", "cluster": server}],
            "users": [{"name": "test", "user": {"token": token}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        }
        path = self.folder / f"kubeconfig-{time.monotonic_ns()}"
        path.write_text(yaml.safe_dump(config))
        return str(path)

    def put(self, manifest: str) -> None:
        """Makes an object, or replaces it as a person with an editor does."""
        body = yaml.safe_load(manifest)
        path = self._path(body["kind"], body["metadata"]["name"])
        old = self._call("GET", path, allowed=(200, 404))
        if old.status_code == 404:
            self._call("POST", path.rpartition("/")[0], body)
            return
        body["metadata"]["resourceVersion"] = old.json()["metadata"]["resourceVersion"]
        self._call("PUT", path, body)

    def get(self, kind: str, name: str = "exam") -> dict[str, Any]:
        """An object as it is."""
        found = self.find(kind, name)
        assert found is not None
        return found

    def find(self, kind: str, name: str = "exam") -> dict[str, Any] | None:
        """The same; None where there is none."""
        answer = self._call("GET", self._path(kind, name), allowed=(200, 404))
        found: dict[str, Any] = answer.json()
        return found if answer.status_code == 200 else None

    def set_ready(self, name: str, pods: int) -> None:
        """Says that so many pods of a Deployment are ready: no controller runs here."""
        body = {**self.get("Deployment", name), "status": {"replicas": pods, "readyReplicas": pods}}
        where = self._path("Deployment", name) + (
            "/status" if os.environ.get("KUBE_APISERVER") else ""
        )
        self._call("PUT", where, body)

    def install(self) -> None:
        """Makes the namespace and the kinds."""
        for name in ("shop", "edtech-production"):
            self._call("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
        for kind, (group, plural, version) in _CRDS.items():
            self._call(
                "POST",
                "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
                _definition(kind, group, plural, version),
            )
        wait_until(self._serves_all, what="the kinds to be served", timeout_s=PATIENCE_S)

    def _serves_all(self) -> bool:
        paths = [f"/apis/{group}/{version}/{plural}" for group, plural, version in _CRDS.values()]
        answers = [self._call("GET", path, allowed=(200, 404)) for path in paths]
        return all(answer.status_code == 200 for answer in answers)

    def _call(
        self, method: str, path: str, body: object = None, allowed: tuple[int, ...] = (200, 201)
    ) -> requests.Response:
        answer = requests.request(
            method,
            f"{self.url}{path}",
            json=body,
            headers={"Authorization": f"Bearer {ADMIN}"},
            verify=False,
            timeout=PATIENCE_S,
        )
        assert answer.status_code in allowed, answer.text
        return answer


@contextmanager
def cluster(folder: Path) -> Iterator[Cluster]:
    """A cluster without nodes, as long as the with block lasts."""
    programs = [os.environ.get(name) for name in ("KUBE_APISERVER", "ETCD")]
    if all(programs):
        with _real(folder, *map(str, programs)) as url:
            running = Cluster(url, folder)
            running.install()
            yield running
        return
    with StandIn({ADMIN}, {STRANGER}) as stand_in:
        stand_in.serve_kinds(
            {group: (version, plural) for group, plural, version in _KINDS.values()}
        )
        yield Cluster(stand_in.url, folder)


def _definition(kind: str, group: str, plural: str, version: str) -> dict[str, Any]:
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{plural}.{group}",
            # Groups under k8s.io are protected; a test may approve its own.
            "annotations": {"api-approved.kubernetes.io": "unapproved, a test"},
        },
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"kind": kind, "plural": plural, "singular": kind.lower()},
            "versions": [
                {
                    "name": version,
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": schema},
                }
            ],
        },
    }


@contextmanager
def _real(folder: Path, kube_apiserver: str, etcd: str) -> Iterator[str]:
    ports = PortPool()
    client, peer, secure = ports.take(), ports.take(), ports.take()
    key, public = folder / "sa.key", folder / "sa.pub"
    openssl = shutil.which("openssl") or "openssl"
    subprocess.run([openssl, "genrsa", "-out", key, "2048"], check=True, capture_output=True)
    subprocess.run(
        [openssl, "rsa", "-in", key, "-pubout", "-out", public], check=True, capture_output=True
    )
    tokens = folder / "tokens.csv"
    tokens.write_text(f'{ADMIN},admin,1,"system:masters"\n{STRANGER},stranger,2,"nobody"\n')
    store = Child(
        [etcd, "--data-dir", str(folder / "etcd"), "--unsafe-no-fsync",
         "--listen-client-urls", f"http://127.0.0.1:{client}",
         "--advertise-client-urls", f"http://127.0.0.1:{client}",
         "--listen-peer-urls", f"http://127.0.0.1:{peer}"],
        log=folder / "etcd.log",
    )  # fmt: skip
    server = Child(
        [kube_apiserver, f"--etcd-servers=http://127.0.0.1:{client}", f"--secure-port={secure}",
         "--bind-address=127.0.0.1", f"--cert-dir={folder / 'certs'}",
         f"--token-auth-file={tokens}", "--authorization-mode=RBAC",
         "--service-account-issuer=https://test", f"--service-account-key-file={public}",
         f"--service-account-signing-key-file={key}", "--service-cluster-ip-range=10.0.0.0/24"],
        log=folder / "apiserver.log",
    )  # fmt: skip
    url = f"https://127.0.0.1:{secure}"
    try:
        wait_until(lambda: _is_ready(url), what="kube-apiserver", timeout_s=PATIENCE_S)
        yield url
    finally:
        server.stop(timeout_s=10)
        store.stop(timeout_s=10)


def _is_ready(url: str) -> bool:
    try:
        answer = requests.get(
            f"{url}/readyz",
            headers={"Authorization": f"Bearer {ADMIN}"},
            verify=False,
            timeout=2,
        )
    except requests.RequestException:
        return False
    return answer.status_code == 200 and json.dumps(answer.text) == '"ok"'
