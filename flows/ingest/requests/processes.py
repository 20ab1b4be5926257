"""Which scraped targets are one process: a pod that several jobs scrape is counted once."""

from __future__ import annotations

import ipaddress
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.counting.counters import CounterSeries, numbered
from analysis.counting.repeated_scrapes import (
    RepeatedScrapes,
    find_repeated,
    without_known_starts,
)
from analysis.counting.scrape_evidence import ScrapeEvidence

Labels = Mapping[str, str]

_POD_LABELS = ("pod", "kubernetes_pod_name", "pod_name")
_NAMESPACE_LABELS = ("namespace", "kubernetes_namespace")
# A sidecar answers on both: merged with the application's own metrics, and by itself.
_SIDECAR_PORTS = frozenset({"15020", "15090"})
_MOST_SUSPECTS = 3


@dataclass(frozen=True, slots=True)
class Processes:
    """The targets that are one process, and what each series counts.

    targets: their names. groups: positions of targets that are one; suspects: pairs that may be.
    counters: int64[series], as find_repeated takes them.
    """

    targets: tuple[str, ...]
    groups: tuple[tuple[int, ...], ...]
    suspects: tuple[tuple[int, ...], ...]
    counters: NDArray[np.int64]

    def repeated(self, series: CounterSeries) -> RepeatedScrapes:
        """The samples that count what another target's have counted."""
        return find_repeated(series, self.counters, self.groups)

    def without_known_starts(
        self, series: CounterSeries, evidence: ScrapeEvidence
    ) -> ScrapeEvidence:
        """The evidence without starts of processes that a target of another name counted before."""
        return without_known_starts(series, evidence, self.groups)

    def describe(self, found: RepeatedScrapes) -> tuple[str, ...]:
        """A sentence per set of jobs; pods come and go, jobs stay."""
        said = {
            f"pods are scraped by {self._jobs(group)}: each request is counted once"
            for group in found.counted_once
        }
        said |= {
            f"some counters of one pod differ between {self._jobs(group)}: all are counted"
            for group in found.differing
        }
        said |= {
            f"{' and '.join(self.targets[each] for each in pair)} may be one pod, counted twice: a "
            "`pod` label on both would tell, or `match` can name one job"
            for pair in self.suspects[:_MOST_SUSPECTS]
        }
        return tuple(sorted(said))

    def _jobs(self, group: Sequence[int]) -> str:
        names = [self.targets[each] for each in group]
        jobs = sorted({name.partition("/")[0] for name in names})
        if len(jobs) > 1:
            return f"the jobs {', '.join(jobs)}"
        ports = sorted({name.rpartition(":")[2] for name in names})
        return f"the job {jobs[0]} at the ports {', '.join(ports)}"


def processes_of(
    targets: Sequence[str], labels: Sequence[Labels], counters: Sequence[Hashable]
) -> Processes:
    """What is known of targets with these names, and labels of one series each.

    counters: by series, what it counts, whatever target has it.
    """
    groups = same_process(labels)
    return Processes(tuple(targets), groups, suspects_of(labels, groups), numbered(counters))


def same_process(targets: Sequence[Labels]) -> tuple[tuple[int, ...], ...]:
    """Groups of targets, by their position, that are one pod; only of several.

    targets: labels of one series of each, in order of their names. One pod has one address and
    port, one address with a sidecar's ports, or one name in one namespace; two that name different
    pods are never one.
    """
    members = defaultdict[tuple[str, ...], list[int]](list)
    for index, labels in enumerate(targets):
        for key in _keys(labels):
            members[key].append(index)
    group = list(range(len(targets)))
    for same in members.values():
        for other in same[1:]:
            if _may_be_one(targets[same[0]], targets[other]):
                old, new = group[other], group[same[0]]
                group = [new if each == old else each for each in group]
    found = defaultdict[int, list[int]](list)
    for index, each in enumerate(group):
        found[each].append(index)
    return tuple(tuple(each) for each in found.values() if len(each) > 1)


def suspects_of(
    targets: Sequence[Labels], processes: Iterable[Sequence[int]]
) -> tuple[tuple[int, ...], ...]:
    """Pairs of targets of different jobs on one address that might be one pod, not known to be."""
    known = {index for group in processes for index in group}
    hosts = defaultdict[str, list[int]](list)
    for index, labels in enumerate(targets):
        host, _ = _address(labels)
        if host and index not in known and not _is_shared(host):
            hosts[host].append(index)
    return tuple(
        (one, other)
        for same in hosts.values()
        for i, one in enumerate(same)
        for other in same[i + 1 :]
        if targets[one].get("job") != targets[other].get("job")
        and _may_be_one(targets[one], targets[other])
    )


def _keys(labels: Labels) -> Iterable[tuple[str, ...]]:
    host, port = _address(labels)
    if host and not _is_shared(host) and port in _SIDECAR_PORTS:
        yield "sidecar", host
    elif labels.get("instance"):
        yield "instance", labels["instance"]
    if pod := _first(labels, _POD_LABELS):
        yield "pod", _first(labels, _NAMESPACE_LABELS), pod


def _may_be_one(one: Labels, other: Labels) -> bool:
    """Whether neither names another pod or namespace than the other does."""
    return all(
        not (_first(one, names) and _first(other, names))
        or _first(one, names) == _first(other, names)
        for names in (_POD_LABELS, _NAMESPACE_LABELS)
    )


def _first(labels: Labels, names: Iterable[str]) -> str:
    return next((labels[name] for name in names if labels.get(name)), "")


def _address(labels: Labels) -> tuple[str, str]:
    host, _, port = labels.get("instance", "").rpartition(":")
    return host.strip("[]"), port


def _is_shared(host: str) -> bool:
    """Whether many processes have this address: the loopback one."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
