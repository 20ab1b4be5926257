"""What a metric showed, in a sentence that a person on call understands."""

from __future__ import annotations

import math
from collections.abc import Sequence

from analysis.explain.spans import clock
from analysis.metric_result import Classification, Estimate, HarmSince, MetricResult, Recent
from analysis.plan import Role, Unit
from analysis.requests.pods import BadPod

# How requests ended, as in "3 % of requests ...".
_ENDED = {
    "abandoned": "abandoned by their clients",
    "rejected": "rejected by a limit",
    "client_error": "answered as wrong (4xx)",
    "unmeasured": "with no known latency or outcome",
    "unusual": "answered otherwise than by a plain 200",
    "unattributed": "failed or abandoned if all that reached no pod or name no version are its own",
    "excused": "failed by a code, status or flag that the spec doesn't name",
}


def explain(result: MetricResult) -> str:
    """One sentence: both versions' values, the harm that is proven or excluded, and the margin."""
    if result.parts:
        return _together(result)
    if result.classification is Classification.NO_DATA or result.unknown is not None:
        found = describe_absence(result)
    elif result.since is not None and not result.since.from_start:
        found = _since(result, result.since)
    else:
        found = f"{_values(result)}; {_finding(result)}{_causes(result)}"
    return ". ".join(
        [f"{result.metric}: {found}", *describe_unknown(result), *describe_pods(result)]
    )


def _together(result: MetricResult) -> str:
    """Weak harm in several metrics, each in points and in margins."""
    names = listed([part.metric for part in result.parts])
    each = ", ".join(
        f"{part.metric} {100 * part.difference:+.2f} points ({part.margins:.2f} of its margin)"
        for part in result.parts
    )
    start = "" if result.together_since_ms is None else f"since {clock(result.together_since_ms)} "
    return (
        f"{names} together: {start}{result.candidate_variant} is worse by {result.candidate:.2f} "
        f"margins in sum, at least {result.difference.lower:.2f} (together 1 is allowed): {each}"
    )


def describe_unknown(result: MetricResult) -> tuple[str, ...]:
    """How many requests may or may not be bad, where any may."""
    if not max(shares := (result.unknown_candidate, result.unknown_baseline)) > 0:
        return ()
    what = "were cut off before" if result.edge_ms is not None else "have no known outcome"
    ours, theirs = (level(result, share) for share in shares)
    said = f"Of {result.candidate_variant} {ours} {what}, of {result.baseline_variant} {theirs}"
    return (f"{said}: whether these are bad isn't known",)


def listed(names: Sequence[str]) -> str:
    """As in a sentence: one, two and three."""
    return " and ".join(part for part in (", ".join(names[:-1]), names[-1]) if part)


def _causes(result: MetricResult) -> str:
    """Of a harm: the responses that it is made of."""
    if result.classification is not Classification.FAIL or not result.causes:
        return ""
    named = ", ".join(f"{amount(result, c.difference)} {c.name}" for c in result.causes)
    return f"; by response: {named}"


def explain_alone(result: MetricResult) -> str:
    """The same of a failure that needs no comparison: an objective missed, or a gross failure."""
    own = result.objective
    values = (
        f"{result.candidate_variant} has {level(result, own.candidate.value)} {_what(result)}"
        if own is not None and own.violated
        else _values(result)
    )
    found = f"{values}; {_failure_alone(result)}"
    return ". ".join([f"{result.metric}: {found}", *describe_pods(result)])


def describe_absence(result: MetricResult) -> str:
    """Of which version there is no data, and how much there is of the other; or why none counts."""
    if result.unknown is not None:
        return result.unknown
    unit = f"{result.unit}s"
    variants = (
        (result.candidate_variant, result.exposure_candidate),
        (result.baseline_variant, result.exposure_baseline),
    )
    without = [f"{name} (0 {unit})" for name, seen in variants if not seen > 0]
    others = [f"{name} has {seen:,.0f}" for name, seen in variants if seen > 0]
    if not without:
        return f"too little data to compare: {', '.join(others)} {unit}"
    return ", ".join([f"no data of {' and '.join(without)}", *others])


def describe_pods(result: MetricResult) -> tuple[str, ...]:
    """One sentence per pod that is worse than its siblings; the last says what it explains."""
    found = result.bad_pods
    said = [describe_pod(result, pod) for pod in found]
    if said:
        without = amount(result, found[-1].difference_without)
        which = "it" if len(found) == 1 else "these pods"
        said[-1] += f": without {which} the difference is {without}"
    return tuple(said)


def describe_pod(result: MetricResult, pod: BadPod) -> str:
    """What the pod fails of its requests, and its siblings of theirs."""
    siblings = "its sibling" if pod.siblings == 1 else f"its {pod.siblings} siblings"
    return (
        f"Pod {pod.pod} of {pod.variant} fails {level(result, pod.share)} of its requests, "
        f"{siblings} {level(result, pod.siblings_share)}"
    )


def describe_harm(result: MetricResult) -> str:
    """The interval of the harm so far, with the margin; of a goal's gain, with what is wanted."""
    if result.role is Role.GOAL:
        # Harm with the other sign; of nothing, no minus.
        low, high = (amount(result, 0.0 - bound) for bound in reversed(_harm_bounds(result)))
        wanted = amount(result, -result.margin) if result.margin else "0"
        return f"gain between {low} and {high} so far (wanted: above {wanted})"
    (low, high), of_what, margin = _against_margin(result)
    return f"harm between {low} and {high}{of_what} so far {margin}"


def _against_margin(result: MetricResult, least: float = -math.inf) -> tuple[list[str], str, str]:
    """In the margin's unit: the harm's bounds (high from least on), of what, and the margin."""
    harm = result.relative_harm
    low, high = _harm_bounds(result) if harm is None else (harm.lower, harm.upper)
    ends = (low, max(high, least))
    if harm is None:
        return [amount(result, end) for end in ends], "", describe_margin(result)
    bounds = [f"{100 * e:.2f} %" if math.isfinite(e) else amount(result, e) for e in ends]
    margin = f"(margin {100 * result.margin_relative:g} %)"
    return bounds, f" of {result.baseline_variant}'s", margin


def _harm_bounds(result: MetricResult) -> tuple[float, float]:
    return _with_margin(result, result.excess)


def _with_margin(result: MetricResult, excess: Estimate) -> tuple[float, float]:
    low, high = excess.lower + result.margin, excess.upper + result.margin
    if not result.is_share:
        return low, high
    # Wider is no news: no two shares are further apart.
    return min(max(low, -1.0), 1.0), min(max(high, -1.0), 1.0)


def describe_objective(result: MetricResult, share: Estimate, limit: float) -> str:
    """The interval of the candidate's own share, beside what it must not exceed."""
    low, high = share.lower, share.upper
    if result.is_share:
        low, high = max(0.0, low), min(1.0, high)
    return (
        f"{_measured(result)} between {level(result, low)} and {level(result, high)} "
        f"({_objective(result, limit)})"
    )


def _measured(result: MetricResult) -> str:
    return "share" if result.is_share else "value"


def _objective(result: MetricResult, limit: float) -> str:
    side = "at least" if result.higher_is_better else "at most"
    return f"objective: {side} {level(result, limit)}"


def describe_margin(result: MetricResult) -> str:
    """The margin in brackets, without its unit."""
    return _margin(result, result.margin)


def _margin(result: MetricResult, margin: float) -> str:
    if margin == 0:
        return "(margin 0)"
    return f"(margin {amount(result, margin).removesuffix(' points')})"


def amount(result: MetricResult, value: float) -> str:
    """A difference in the metric's unit: points for shares, a plain number for means."""
    if not math.isfinite(value):
        return "an unknown amount"
    return f"{100 * value:.2f} points" if result.is_share else f"{value:.4g}"


def level(result: MetricResult, value: float) -> str:
    """A value in the metric's unit: percent for shares."""
    if not math.isfinite(value):
        return "nothing"
    return f"{100 * value:.2f} %" if result.is_share else f"{value:.4g}"


def _values(result: MetricResult) -> str:
    return _shares(result, result.baseline, result.candidate)


def _what(result: MetricResult) -> str:
    if result.counted:
        return result.counted
    if result.unit is Unit.USER:
        return "of users" if result.is_share else "per user"
    if result.edge_ms is not None:
        return f"of requests slower than {result.edge_ms:g} ms"
    return f"of requests {_ENDED.get(result.outcome, 'failed')}"


def _shares(result: MetricResult, baseline: float, candidate: float) -> str:
    return (
        f"{result.candidate_variant} has {level(result, candidate)} {_what(result)}, "
        f"{result.baseline_variant} {level(result, baseline)}"
    )


def _since(result: MetricResult, since: HarmSince) -> str:
    """Harm that began late: both versions' shares since then, beside those of the whole time."""
    return (
        f"since {clock(since.start_ms)} {_shares(result, since.baseline, since.candidate)}; "
        f"harm since then at least {amount(result, since.lower)} {_margin(result, since.margin)}"
    )


def describe_recent(result: MetricResult, recent: Recent) -> str:
    """Why the last part, or the trend, is not yet within the margin though the whole is."""
    if not recent.excess.upper <= 0:
        low, high = _with_margin(result, recent.excess)
        since = f"within the margin over the whole time, but since {clock(recent.start_ms)}"
        if not (math.isfinite(low) or math.isfinite(high)):
            return f"{since} too few requests were seen to compare both versions"
        found = f"harm between {amount(result, low)} and {amount(result, high)}"
        return f"{since} {found} {describe_margin(result)}"
    high = math.nan if recent.ahead is None else _with_margin(result, recent.ahead)[1]
    return (
        f"within the margin so far, but a trend is not excluded that leads to harm of up to "
        f"{amount(result, high)} by {clock(recent.until_ms)} {describe_margin(result)}"
    )


def _finding(result: MetricResult) -> str:
    if result.classification is Classification.FAIL or result.outage:
        return _failure(result)
    _, high = _harm_bounds(result)
    if result.role is Role.GOAL and high < 0:
        return f"gain at least {amount(result, -high)}"
    (_, most), of_what, margin = _against_margin(result, 0.0)
    if result.recent is None or result.recent.calm is None:
        return f"harm at most {most}{of_what} {margin}"
    high = max(0.0, _with_margin(result, result.recent.calm)[1])
    return (
        f"harm at most {amount(result, high)} {describe_margin(result)} outside of the time in "
        f"which {result.baseline_variant} too failed far more than usual"
    )


def _failure(result: MetricResult) -> str:
    """The strongest of what failed: the margin, the objective, or the exact test alone."""
    if result.excess.lower > 0 and not result.outage:
        (least, _), of_what, margin = _against_margin(result)
        return f"harm at least {least}{of_what} {margin}"
    if result.since is not None and not result.gross:
        since = result.since
        return f"harm at least {amount(result, since.lower)} {_margin(result, since.margin)}"
    return _failure_alone(result)


def _failure_alone(result: MetricResult) -> str:
    if result.outage:
        return "an outage: most clients get no answer"
    if result.objective is not None and result.objective.violated:
        objective = result.objective
        proven = (
            f"at most {level(result, objective.candidate.upper)}"
            if result.higher_is_better
            else f"at least {level(result, objective.candidate.lower)}"
        )
        return f"{_measured(result)} {proven} ({_objective(result, objective.limit)})"
    of_candidate = (pod for pod in result.bad_pods if pod.variant == result.candidate_variant)
    if any(pod.gross or pod.harms for pod in of_candidate):
        return "one pod fails so often that its users are harmed beyond the margin"
    own = result.objective
    if own is not None and result.alone:
        what = f"{result.baseline_variant} before, and the margin" if own.as_before else "objective"
        return (
            f"{level(result, own.candidate.value)} of all requests do since it has the traffic "
            f"alone ({what}: at most {level(result, own.limit)})"
        )
    # The shares are of the whole time after the warm-up.
    when = " in the warm-up or for a while" if result.excess.value <= 0 else ""
    return f"a gross failure{when}: far more than chance or a burst explains"
