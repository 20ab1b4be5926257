"""`verdict plan`: what an experiment can see, and how soon, at which share of the traffic."""

from __future__ import annotations

import argparse
import math
from typing import TYPE_CHECKING

from analysis.explain.spans import span_s
from flows.cli.arguments import (
    Commands,
    add_experiment,
    command,
    named,
    number_within,
    parse_instant,
    share,
)
from flows.cli.lines import plain_console, say

if TYPE_CHECKING:
    from rich.table import Table

    from flows.power.planning_document import (
        DetectableHarm,
        DetectionRow,
        LateDetection,
        RequestPlan,
        UserPlan,
    )

_DAY_S = 86_400
# Failures per burst from which on bursts are what limits a plan.
_BURSTY = 2.0
# A healthy candidate that is promoted less often than this is said to be.
_LIKELY = 0.8


def add(commands: Commands) -> None:
    """Adds the command."""
    plan = command(
        commands, "plan", _plan, "estimate which effects an experiment can detect, and how soon"
    )
    add_experiment(plan)
    plan.add_argument(
        "--at",
        metavar="TIME",
        type=parse_instant,
        help="use the history up to this time (default: now)",
    )
    for option, low, high, text in (
        ("--requests-per-second", 1e-6, 1e9, "of all versions; instead of the history's"),
        ("--overdispersion", 1e-3, 1e6, "failures per burst; instead of the history's"),
        ("--users-per-day", 1e-3, 1e12, "of all variants"),
    ):
        plan.add_argument(option, type=number_within(low, high), metavar="NUMBER", help=text)
    for option, kind, text in (
        ("--bad-share", share, "of requests; instead of the history's"),
        ("--mean", number_within(-1e60, 1e60), "of a user's value (a share's is the share)"),
        ("--sd", number_within(1e-60, 1e60), "of a user's value; by default that of a share"),
    ):
        plan.add_argument(
            option,
            type=named(kind),
            action="append",
            default=[],
            metavar="[METRIC=]NUMBER",
            help=f"{text}; may be repeated",
        )
    plan.add_argument("--json", action="store_true", help="print the figures as JSON")


def _plan(options: argparse.Namespace) -> int:
    from flows.power.expected import Expected  # noqa: PLC0415
    from flows.power.request_power import plan_experiment  # noqa: PLC0415

    document = plan_experiment(
        options.workspace,
        options.experiment,
        expected=Expected(
            options.requests_per_second,
            options.overdispersion,
            options.users_per_day,
            dict(options.bad_share),
            dict(options.mean),
            dict(options.sd),
        ),
        at=options.at,
    )
    if options.json:
        print(document.to_json(), end="")
        return 0

    console = plain_console()
    print(f"{document.experiment}: detectable effects (from {document.history})")
    for requests in document.requests:
        _say_requests(requests)
        console.print(_requests_table(requests))
    if document.requests:
        say(
            "-: not by the plan's end; (..%): in so many cases by the plan's end; "
            "detectable: rolled back in four of five cases"
        )
    if document.users:
        for users in document.users:
            print()
            for line in _on_users(users).splitlines():
                say(line, indent="    ")
            console.print(_users_table(users))
        say(
            "columns: effect (relative); time: in four of five cases, with a look at any time; "
            "-: not by the plan's end"
        )
        say("smallest: effect detected as often by the end, with looks at any time / one look")
    for line in document.unlike_pods:
        say(f"not alike: {line}")
    for line in document.waits:
        say(f"{line}; until it is promoted, this one holds")
    for line in document.not_planned:
        say(f"not planned: {line}")
    return 0


def _say_requests(plan: RequestPlan) -> None:
    print()
    say(
        f"{plan.metric}: {plan.requests_per_second:.3g} requests/s, {plan.bad:.2%} bad in bursts "
        f"of about {plan.overdispersion:.2g}; margin {100 * plan.margin:.2f} points",
        indent="  ",
    )
    for row in plan.rows:
        if row.share in {0.05, 0.5} and not row.as_planned and row.harm >= 0.05:
            say(
                f"  at {row.share:.0%} of the traffic, {100 * row.harm:.2g} points more are found "
                f"{_when(row.median_minutes, plan.plan_minutes)}",
                indent="    ",
            )

    for line in (*map(_late, plan.late), *cannot_find(plan)):
        say(f"  {line}", indent="    ")


def _late(one: LateDetection) -> str:
    begin = _span(one.begin_minutes)
    harm = f"{_where(one)}, {100 * one.harm:.2g} points more that begin after {begin}"
    if math.isinf(one.by_minutes):
        return f"{harm} are found in {one.found:.0%} of cases by the plan's end"
    late = one.by_minutes - one.begin_minutes
    return f"{harm} are found within {_span(late)} of their beginning in 95% of cases"


def cannot_find(plan: RequestPlan) -> tuple[str, ...]:
    """What the plan can't decide: at its stages or split, else at the smallest share.

    Harm that is too small and, of its own, a promote of a healthy candidate that isn't likely.
    """
    own = [one for one in plan.detectable if one.as_planned]
    own = own or [one for one in plan.detectable if one.share in {late.share for late in plan.late}]
    shown = own or sorted(plan.detectable, key=lambda one: one.share)[:1]
    healthy = {(row.as_planned, row.share): row.promoted for row in plan.rows if row.harm == 0}
    slow = (
        f"{_where(one)} a healthy candidate is promoted in {promoted:.0%} of cases by the plan's "
        "end: a larger share, a longer plan or a larger margin promotes more"
        for one in own
        if (promoted := healthy.get((one.as_planned, one.share), 1.0)) < _LIKELY
    )
    return (*(_too_small(plan, one) for one in shown), *slow)


def _where(one: DetectableHarm | LateDetection) -> str:
    return "at the plan's stages" if one.as_planned else f"at {one.share:.0%} of the traffic"


def _too_small(plan: RequestPlan, one: DetectableHarm) -> str:
    if math.isnan(one.harm):
        return f"{_where(one)} no harm is found in four of five cases by the plan's end"
    help_by = "a larger share or a longer plan detects less"
    if plan.overdispersion >= _BURSTY:
        help_by += f"; bursts of {plan.overdispersion:.2g} take as many times the requests"
    return (
        f"{_where(one)} less than {100 * one.harm:.2g} points more can't be detected reliably "
        f"(four of five cases, by the plan's end): {help_by}"
    )


def _when(minutes: float, end: float) -> str:
    if math.isinf(minutes):
        return f"in fewer than half of the cases by the plan's end ({_span(end)})"
    return f"within {_span(minutes)} in half of the cases"


def _requests_table(plan: RequestPlan) -> Table:
    from rich.table import Table  # noqa: PLC0415

    harms = list(dict.fromkeys(row.harm for row in plan.rows))
    table = Table(
        title="time to roll back (healthy: to promote), median / 90th percentile",
        title_justify="left",
    )
    table.add_column("traffic")
    for harm in harms:
        table.add_column("healthy" if harm == 0 else f"+{100 * harm:.3g} points")
    table.add_column("detectable")
    cells = {(row.as_planned, row.share, row.harm): row for row in plan.rows}
    for one in plan.detectable:
        label = "stages" if one.as_planned else f"{one.share:.0%}"
        found = "-" if math.isnan(one.harm) else f"+{100 * one.harm:.2g}"
        row = (_cell(cells[one.as_planned, one.share, harm]) for harm in harms)
        table.add_row(label, *row, found)
    return table


def _cell(row: DetectionRow) -> str:
    cell = f"{_span(row.median_minutes)} / {_span(row.slow_minutes)}"
    if math.isfinite(row.slow_minutes):
        return cell
    found = row.promoted if row.harm == 0 else row.rolled_back
    return f"{cell} ({found:.0%})"


def _span(minutes: float) -> str:
    """40 s, 4.7 min, 16 min, 1.5 h, 2.0 days: rounded up to a whole minute only from ten on."""
    return f"{minutes:.2g} min" if 1.5 <= minutes < 9.95 else span_s(60 * minutes)


def _users_table(plan: UserPlan) -> Table:
    from rich.table import Table  # noqa: PLC0415

    table = Table(
        title="time until an effect is detected, by the candidate's share of users",
        title_justify="left",
    )
    table.add_column("share")
    effects = plan.rows[0].effects if plan.rows else ()
    for effect in effects:
        table.add_column(_effect(effect, plan.baseline))
    table.add_column("smallest")
    for row in plan.rows:
        ends = [row.smallest_anytime]
        ends += [] if math.isnan(row.smallest_fixed) else [row.smallest_fixed]
        table.add_row(
            "as planned" if row.as_planned else f"{row.share:.0%}",
            *(span_s(_DAY_S * days) for days in row.days),
            " / ".join("-" if math.isinf(effect) else f"{effect:.3g}" for effect in ends),
        )
    return table


def _effect(effect: float, baseline: float) -> str:
    if baseline == 0:
        return f"{effect:.3g}"
    relative = 100 * effect / abs(baseline)
    return (
        f"{effect:.3g} ({relative:,.0f}%)"
        if relative >= 1000
        else f"{effect:.3g} ({relative:.3g}%)"
    )


def _count(number: float) -> str:
    """1,000 or, where it is small, 0.01."""
    return f"{number:,.0f}" if number >= 10 else f"{number:.2g}"


def _on_users(plan: UserPlan) -> str:
    known = (
        f"{plan.metric}: baseline {plan.baseline:.4g}, {_count(plan.users_per_day)} users a day, "
        f"{plan.users_at_end:,.0f} with a final value by the end"
    )
    if not plan.users_at_end > 0:
        return (
            f"{known}\n  as planned one of the variants gets no users whose value is final by then"
        )
    if math.isnan(plan.users_for_margin_anytime):
        return (
            f"{known}\n  the margin is 0 here: only a candidate that is surely better is promoted"
            if plan.role == "guardrail" and plan.margin == 0
            else known
        )
    anytime = (
        f"{plan.users_for_margin_anytime:,.0f} users "
        f"({span_s(_DAY_S * plan.days_for_margin_anytime)})"
    )
    if plan.role == "guardrail":
        return (
            f"{known}\n"
            f"  to exclude harm of {plan.margin:.3g} where there is none takes "
            f"{anytime}, with a look at any time"
        )
    return (
        f"{known}\n"
        f"  to detect {plan.margin:.3g} takes {plan.users_for_margin:,.0f} users with one look, "
        f"{anytime} with a look at any time\n"
        f"  with one look at the end, it is detected in {plan.power_for_margin:.0%} of cases"
    )
