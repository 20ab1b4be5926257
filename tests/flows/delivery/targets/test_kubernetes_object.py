"""Weights changed in a cluster, by server-side apply, against whoever else changes them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from flows.delivery.targets.cluster_object import ClusterObject
from flows.delivery.targets.kubernetes_object import KubernetesObject
from flows.delivery.targets.target import (
    NewerController,
    SplitChanged,
    TargetRefused,
    TargetUnavailable,
)
from tests.builders.manifests import BY_KIND, NAMES
from tests.servers.cluster import STRANGER, Cluster, cluster

pytestmark = pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
TO = {"stable": 75.0, "canary": 25.0}


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster(tmp_path_factory.mktemp("cluster")) as running:
        yield running


def target(api: Cluster, kind: str = "TrafficSplit", **changes: str) -> KubernetesObject:
    api.put(BY_KIND[kind])
    fields: dict[str, Any] = {
        "kind": kind,
        "name": "exam",
        "namespace": "shop",
        "kubeconfig": api.kubeconfig(),
    }
    return KubernetesObject(ClusterObject(**{**fields, **changes}), NAMES)


def shift(found: KubernetesObject, fence: int = 1) -> None:
    found.shift(TO, fence=fence, expected=found.read().revision, reason="no harm is seen")


@pytest.mark.parametrize("kind", BY_KIND)
def test_only_the_weights_change(api: Cluster, kind: str) -> None:
    found = target(api, kind)
    assert found.read().weights == {"stable": 90.0, "canary": 10.0}
    shift(found)
    text = BY_KIND[kind].replace("weight: 900", "weight: 75").replace("weight: 100", "weight: 25")
    wanted = yaml.safe_load(
        text.replace("weight: 90", "weight: 75").replace("weight: 10", "weight: 25")
    )
    assert api.get(kind)["spec"] == wanted["spec"]
    assert found.read().weights == TO


def test_who_shifted_and_why_is_told(api: Cluster) -> None:
    found = target(api)
    shift(found, fence=4)
    annotations = api.get("TrafficSplit")["metadata"]["annotations"]
    assert annotations["split-verdict/fence"] == "4"
    assert annotations["split-verdict/reason"] == "no harm is seen"
    assert found.read().fence == 4


def test_shifts_follow_each_other(api: Cluster) -> None:
    found = target(api, "VirtualService")
    shift(found, fence=1)
    found.shift(
        {"stable": 0, "canary": 100}, fence=2, expected=found.read().revision, reason="promote"
    )
    assert found.read().weights == {"stable": 0.0, "canary": 100.0}


def test_an_old_controller_is_refused(api: Cluster) -> None:
    found = target(api)
    shift(found, fence=5)
    with pytest.raises(NewerController, match="under lease 5, this controller's is 4"):
        shift(found, fence=4)
    assert found.read().fence == 5


def test_what_was_changed_since_the_read_is_not_overwritten(api: Cluster) -> None:
    found = target(api)
    before = found.read().revision
    api.put(BY_KIND["TrafficSplit"].replace("weight: 90", "weight: 80").replace("10", "20"))
    with pytest.raises(SplitChanged, match="was changed since it was read"):
        found.shift(TO, fence=1, expected=before, reason="late")
    assert found.read().weights == {"stable": 80.0, "canary": 20.0}


def test_what_is_changed_during_the_shift_is_not_overwritten(
    api: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = target(api)
    apply = ClusterObject.apply

    def change_first(self: ClusterObject, body: dict[str, Any]) -> dict[str, Any]:
        api.put(BY_KIND["TrafficSplit"].replace("weight: 90", "weight: 80").replace("10", "20"))
        return apply(self, body)

    monkeypatch.setattr(ClusterObject, "apply", change_first)
    with pytest.raises(SplitChanged, match="was changed while it was shifted"):
        shift(found)
    assert found.read().weights == {"stable": 80.0, "canary": 20.0}


def test_what_is_missing_or_not_allowed_is_named(api: Cluster) -> None:
    with pytest.raises(TargetRefused, match="there is no TrafficSplit/other in shop"):
        target(api, name="other").read()
    with pytest.raises(
        TargetRefused, match=r"not allowed to get it; grant get and patch on trafficsplits\.split"
    ):
        target(api, kubeconfig=api.kubeconfig(STRANGER)).read()
    with pytest.raises(TargetRefused, match="not allowed to get it"):
        target(api, kubeconfig=api.kubeconfig("nonsense")).read()


def test_a_cluster_that_is_away_may_come_back(api: Cluster) -> None:
    away = target(api, kubeconfig=api.kubeconfig(url="http://127.0.0.1:9"))
    with pytest.raises(TargetUnavailable, match="API server of TrafficSplit/exam in shop can't be"):
        away.read()


def test_without_a_cluster_it_says_what_to_write(api: Cluster, tmp_path: Path) -> None:
    nowhere = target(api, kubeconfig=str(tmp_path / "none"))
    with pytest.raises(TargetRefused, match=r"delivery\.target\.kubeconfig"):
        nowhere.read()
