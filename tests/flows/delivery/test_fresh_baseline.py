"""The fresh baseline of a delivery in a cluster: made, waited for, kept in size, and removed.

Also flows.delivery.targets.fresh_pods and flows.delivery.targets.cluster_object.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
import yaml

from flows.delivery.deliver import tell
from flows.delivery.dry_run import preview
from flows.delivery.targets.cluster_object import ClusterObject
from flows.delivery.targets.fresh_pods import FENCE, OWNER, VERSION_LABELS, FreshPods
from flows.delivery.targets.open_target import open_target
from flows.delivery.targets.target import NewerController, TargetRefused, TargetUnavailable
from flows.formats.problems import InputError
from flows.plan.from_spec import plan_of
from flows.warehouse.delivery_log import DeliveryEventKind, DeliveryOutcome
from flows.workspace.experiments import load_spec
from flows.workspace.paths import Workspace
from tests.builders.delivery_workspace import SPEC, one_step
from tests.servers.cluster import Cluster, cluster

pytestmark = pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
OLD, NEW, FRESH = "exam-stable", "exam-canary", "exam-baseline"
SPACE = "edtech-production"


def fresh(api: Cluster) -> FreshPods:
    own = ClusterObject("Deployment", FRESH, SPACE, api.kubeconfig())
    return FreshPods("exam", own, OLD, NEW, "v2.0.0")


def deployment(name: str, image: str, replicas: int, cpu: str, **more: str) -> str:
    labels = {"app": "exam", "version": name, **more}
    container = {"name": "exam", "image": image, "resources": {"requests": {"cpu": cpu}}}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
    metadata = {"name": name, "namespace": SPACE}
    return yaml.safe_dump(
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}
    )


def route(*weights: int) -> str:
    targets = [
        {"destination": {"host": "exam", "subset": name}, "weight": weight}
        for name, weight in zip(("old", "v2.0.0", "v2.1.0"), weights, strict=True)
    ]
    metadata = {"name": "exam", "namespace": SPACE}
    spec = {"hosts": ["exam"], "http": [{"route": targets}]}
    return yaml.safe_dump(
        {
            "apiVersion": "networking.istio.io/v1beta1",
            "kind": "VirtualService",
            "metadata": metadata,
            "spec": spec,
        }
    )


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster(tmp_path_factory.mktemp("cluster")) as api:
        yield replace(api, namespace=SPACE)


@pytest.fixture
def api(running: Cluster, workspace: Workspace) -> Cluster:
    """The cluster as before the delivery, and the spec of it."""
    ClusterObject("Deployment", FRESH, SPACE, running.kubeconfig()).delete()
    running.put(route(100, 0, 0))
    running.put(deployment(OLD, "exam:v2.0.0", 9, "2"))
    running.put(deployment(NEW, "exam:v2.1.0", 2, "500m"))
    made = f"{{name: {FRESH}, stable: {OLD}, candidate: {NEW}, rest: old}}"
    where = f"kubernetes: VirtualService/exam, kubeconfig: {running.kubeconfig()}"
    text = SPEC.replace("envoy: ../routes.json", f"{where}, fresh_baseline: {made}")
    (workspace.experiments / "exam.yaml").write_text(text)
    return running


def weights(api: Cluster) -> list[int]:
    found = api.get("VirtualService")["spec"]["http"][0]["route"]
    return [int(one["weight"]) for one in found]


def begin(workspace: Workspace, api: Cluster) -> None:
    """Until the first shift, which waits for the pods."""
    assert "has 0 of 2 pods ready" in one_step(workspace).said
    assert weights(api) == [100, 0, 0]
    api.set_ready(FRESH, 2)
    assert one_step(workspace).state.stage == 1
    assert weights(api) == [90, 5, 5]


def test_it_is_made_waited_for_and_removed_after_the_last_stage(
    workspace: Workspace, api: Cluster
) -> None:
    assert f"{FRESH} in {SPACE} is made before stage 1" in "".join(preview(workspace, "exam"))
    begin(workspace, api)
    for then in ([0, 50, 50], [0, 0, 100]):
        tell(workspace, "exam", DeliveryEventKind.APPROVED, "a person")
        step = one_step(workspace)
        assert weights(api) == then
    assert step.state.outcome is DeliveryOutcome.PROMOTED
    assert api.find("Deployment", FRESH) is None


def test_nothing_is_promoted_over_a_baseline_that_is_not_ready(
    workspace: Workspace, api: Cluster
) -> None:
    begin(workspace, api)
    tell(workspace, "exam", DeliveryEventKind.APPROVED, "a person")
    one_step(workspace)
    api.set_ready(FRESH, 1)
    tell(workspace, "exam", DeliveryEventKind.APPROVED, "a person")
    assert "has 1 of 2 pods ready" in one_step(workspace).said
    assert weights(api) == [0, 50, 50]
    api.set_ready(FRESH, 2)
    assert one_step(workspace).state.outcome is DeliveryOutcome.PROMOTED


def test_after_an_abort_it_is_removed_also_by_who_resumes(
    workspace: Workspace, api: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(workspace, api)
    tell(workspace, "exam", DeliveryEventKind.ABORTED, "a person")

    def fail(self: ClusterObject) -> None:
        raise TargetUnavailable(self.title)

    with monkeypatch.context() as patched:
        patched.setattr(ClusterObject, "delete", fail)
        with pytest.raises(TargetUnavailable):
            one_step(workspace)
    assert weights(api) == [100, 0, 0]
    assert api.find("Deployment", FRESH) is not None
    assert one_step(workspace).state.outcome is DeliveryOutcome.ABORTED
    assert api.find("Deployment", FRESH) is None


def test_it_has_the_old_image_and_the_candidates_size(api: Cluster) -> None:
    pods = fresh(api)
    assert pods.ensure(fence=1) == f"{pods.title}, the fresh baseline, has 0 of 2 pods ready"
    made = api.get("Deployment", FRESH)
    template = made["spec"]["template"]
    (container,) = template["spec"]["containers"]
    assert made["spec"]["replicas"] == 2
    assert container["image"] == "exam:v2.0.0"
    assert container["resources"]["requests"] == {"cpu": "500m"}
    labels = template["metadata"]["labels"].items()
    assert labels >= {"version": "v2.0.0", "app": "exam"}.items()
    assert made["spec"]["selector"]["matchLabels"].items() <= labels
    assert made["metadata"]["ownerReferences"][0]["name"] == NEW
    api.put(deployment(NEW, "exam:v2.1.0", 3, "500m"))
    assert "of 3 pods ready" in (pods.ensure(fence=2) or "")


@pytest.mark.parametrize("name", [OLD, NEW])
@pytest.mark.parametrize("label", VERSION_LABELS)
def test_pods_of_its_version_are_no_others(api: Cluster, name: str, label: str) -> None:
    api.put(deployment(name, "exam:v2.0.0", 2, "1", **{label: "v2.0.0"}))
    with pytest.raises(TargetRefused, match=f"pods of Deployment/{name} are of version v2.0.0 too"):
        fresh(api).ensure(fence=1)
    assert api.find("Deployment", FRESH) is None
    api.put(deployment(name, "exam:v2.0.0", 2, "1", **{label: "other"}))
    fresh(api).ensure(fence=1)
    labels = api.get("Deployment", FRESH)["spec"]["template"]["metadata"]["labels"]
    assert {labels[one] for one in VERSION_LABELS if one in labels} == {"v2.0.0"}


def test_what_is_not_ours_or_a_newer_leases_is_left_alone(api: Cluster) -> None:
    api.put(deployment(FRESH, "theirs", 1, "1"))
    pods = fresh(api)
    for change in (pods.ensure, pods.remove):
        with pytest.raises(TargetRefused, match="was not made for exam: choose another"):
            change(fence=1)
    theirs = api.get("Deployment", FRESH)
    assert theirs["spec"]["template"]["spec"]["containers"][0]["image"] == "theirs"
    theirs["metadata"]["annotations"] = {OWNER: "exam", FENCE: "99"}
    api.put(yaml.safe_dump(theirs))
    for change in (pods.ensure, pods.remove):
        with pytest.raises(NewerController, match="under lease 99"):
            change(fence=1)
    pods.remove(fence=99)
    pods.remove(fence=99)
    assert api.find("Deployment", FRESH) is None


@pytest.mark.parametrize(
    ("carried", "read"),
    [
        ((100, 0, 0), {"stable": 100, "canary": 0}),
        ((90, 5, 5), {"stable": 95, "canary": 5}),
        ((0, 20, 80), {"stable": 20, "canary": 80}),
        ((0, 0, 100), {"stable": 0, "canary": 100}),
        ((95, 0, 5), {"stable": 0, "canary": 5}),
        ((40, 40, 20), {"stable": 40, "canary": 20}),
    ],
)
def test_a_baseline_without_its_part_is_read_as_it_is(
    api: Cluster, workspace: Workspace, carried: tuple[int, ...], read: dict[str, float]
) -> None:
    api.put(route(*carried))
    spec = load_spec(workspace.experiments / "exam.yaml")
    found = open_target(spec, spec_dir=workspace.experiments)
    assert found.read().weights == read
    if sum(read.values()) == 100:
        found.shift(read, fence=1, expected=found.read().revision, reason="again")
        assert weights(api) == list(carried)


@pytest.mark.usefixtures("api")
def test_the_plan_compares_halves_and_a_stage_needs_a_part(workspace: Workspace) -> None:
    path = workspace.experiments / "exam.yaml"
    stages = plan_of(load_spec(path), start_ms=0).stages
    assert [stage.shares for stage in stages] == [{"stable": 0.5, "canary": 0.5}] * 2
    path.write_text(path.read_text().replace("stable: 50, canary: 50", "stable: 20, canary: 80"))
    shares = plan_of(load_spec(path), start_ms=0).stages[1].shares
    assert shares == pytest.approx({"stable": 0.2, "canary": 0.8})
    path.write_text(path.read_text().replace("stable: 20, canary: 80", "stable: 100, canary: 0"))
    with pytest.raises(InputError, match="must give the candidate a part"):
        load_spec(path)
