"""`verdict plan`: what an experiment can see, and how soon, at which share of the traffic."""

from __future__ import annotations

import argparse
import math
from typing import TYPE_CHECKING

from flows.commands.parser import Commands, command, instant, positive, share
from flows.workspace import Workspace

if TYPE_CHECKING:
    from rich.table import Table

    from flows.planning_document import DetectionRow, RequestPlan, UserPlan


def add(commands: Commands) -> None:
    """Adds the command."""
    plan = command(
        commands, "plan", _plan, "say what an experiment can see, and how soon, with its traffic"
    )
    plan.add_argument("experiment")
    plan.add_argument("--at", type=instant, help="with the history up to this time (default: now)")
    plan.add_argument(
        "--requests-per-second", type=positive, help="of all versions; instead of the history's"
    )
    plan.add_argument("--bad-share", type=share, help="of requests; instead of the history's")
    plan.add_argument(
        "--overdispersion", type=positive, help="failures per burst; instead of the history's"
    )
    plan.add_argument("--users-per-day", type=positive, help="of all variants")
    plan.add_argument("--mean", type=positive, help="of a user's value (a share's is the share)")
    plan.add_argument("--sd", type=positive, help="of a user's value; by default that of a share")
    plan.add_argument("--json", action="store_true", help="print the figures as JSON")


def _plan(options: argparse.Namespace) -> int:
    from flows.plan_experiment import Expected, plan_experiment  # noqa: PLC0415

    document = plan_experiment(
        Workspace(options.root),
        options.experiment,
        expected=Expected(
            options.requests_per_second,
            options.bad_share,
            options.overdispersion,
            options.users_per_day,
            options.mean,
            options.sd,
        ),
        at=options.at,
    )
    if options.json:
        print(document.to_json(), end="")
        return 0
    from rich.console import Console  # noqa: PLC0415

    console = Console()
    print(f"{document.experiment}: what it can see (from {document.history})")
    for requests in document.requests:
        _say_requests(requests)
        console.print(_requests_table(requests))
    if document.users:
        console.print(_users_table(document.users))
        for users in document.users:
            print(_on_users(users))
    return 0


def _say_requests(plan: RequestPlan) -> None:
    print(
        f"\n{plan.metric}: {plan.requests_per_second:.3g} requests/s, {plan.bad:.2%} bad in bursts "
        f"of about {plan.overdispersion:.2g}; allowed are {100 * plan.margin:.2f} points more"
    )
    for row in plan.rows:
        if row.share in {0.05, 0.5} and not row.as_planned and row.harm >= 0.05:
            print(
                f"  at {row.share:.0%} of the traffic, {100 * row.harm:.1f} points more are found "
                f"{_when(row.median_minutes, plan.plan_minutes)}"
            )


def _when(minutes: float, end: float) -> str:
    if math.isinf(minutes):
        return f"in fewer than half of the cases by the plan's end ({end:g} min)"
    return f"within {minutes:.3g} min in half of the cases"


def _requests_table(plan: RequestPlan) -> Table:
    from rich.table import Table  # noqa: PLC0415

    harms = list(dict.fromkeys(row.harm for row in plan.rows))
    table = Table(
        title="minutes until half / 9 in 10 are rolled back (healthy: promoted); by the end\n"
        "found 4/5: points more that are rolled back in four of five cases",
        title_justify="left",
    )
    table.add_column("traffic")
    for harm in harms:
        table.add_column("healthy" if harm == 0 else f"+{100 * harm:.3g} points")
    table.add_column("found 4/5")
    cells = {(row.as_planned, row.share, row.harm): row for row in plan.rows}
    for one in plan.detectable:
        label = "stages" if one.as_planned else f"{one.share:.0%}"
        found = "-" if math.isnan(one.harm) else f"+{100 * one.harm:.2g}"
        row = (_cell(cells[one.as_planned, one.share, harm]) for harm in harms)
        table.add_row(label, *row, found)
    return table


def _cell(row: DetectionRow) -> str:
    cell = f"{_minutes(row.median_minutes)} / {_minutes(row.slow_minutes)}"
    if math.isfinite(row.slow_minutes):
        return cell
    found = row.promoted if row.harm == 0 else row.rolled_back
    return f"{cell} ({found:.0%})"


def _minutes(value: float) -> str:
    return "-" if math.isinf(value) else f"{value:.3g}"


def _users_table(plans: tuple[UserPlan, ...]) -> Table:
    from rich.table import Table  # noqa: PLC0415

    table = Table(title="users: the smallest effect found with 80 % power", title_justify="left")
    for heading in ("metric", "baseline", "users", "at one look", "at every look"):
        table.add_column(heading)
    for plan in plans:
        table.add_row(
            plan.metric,
            f"{plan.baseline:.4g}",
            f"{plan.users_at_end:,.0f}",
            f"{plan.detectable_fixed:.3g}",
            f"{plan.detectable_anytime:.3g}",
        )
    return table


def _on_users(plan: UserPlan) -> str:
    if math.isnan(plan.users_for_margin):
        return f"{plan.metric}: {plan.users_per_day:,.0f} users a day"
    return (
        f"{plan.metric}: to find {plan.margin:.3g}, {plan.users_for_margin:,.0f} users are needed "
        f"(watched at every look {plan.users_for_margin_anytime:,.0f}: "
        f"{plan.days_for_margin_anytime:.3g} days at {plan.users_per_day:,.0f} a day)"
    )
