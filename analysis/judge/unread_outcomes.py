"""May outcomes that count for nobody hide what a candidate does? Then its metric doesn't pass.

An outcome that is lost looks like one that never happened. Where less is better that flatters a
candidate whose outcomes are lost, where more is better one whose baseline's are. Rows that surely
are the variant's are added to it: harm must be excluded with them too. Rows that may be the
variant's count only where it has fewer than chance explains.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher

from scipy.special import ndtr

from analysis.evidence import UserEvidence
from analysis.plan import MetricPlan
from analysis.users.missing_hours import missing_hours
from analysis.users.outcome_reach import OutcomeReach, VariantReach

# Fewer are missing by chance, in bursts too: so many rows, and standard deviations of a Poisson's.
SURELY_MISSING, BEYOND_CHANCE = 20, 5.0
# How unlikely a difference of users' shares must be, at every look and for every metric.
_P_VALUE = 1e-5
# So much of what is missing makes rows elsewhere the likely cause, however good a variant is.
_CAUSE_SHARE = 0.2
# So little of what was expected is more likely lost than mended, and is for a person to say.
HARDLY_ANY = 0.2
# So much of the rows of one kind, by users, lies on one side; so many rows are surely some.
_ONE_SIDED, _SOME_ROWS = 0.9, 5
_ALIKE_NAMES = 0.8
REMEDY = "Correct the source, or approve the metric"
# So much of the amounts below 0 is as good as none.
_NO_SIGNS = 0.01
# Of the rows of a name, or of a variant, so many at most may lack what says whose they are.
_LOST_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class UnreadRows:
    """Rows that may be a variant's, and a sentence's part on them; sure: they can be no others'."""

    rows: float
    what: str
    sure: bool


def why_unread(
    evidence: UserEvidence,
    metric: MetricPlan,
    variants: tuple[str, str],
    *,
    room: float,
    values: tuple[float, float],
) -> str | None:
    """Why a metric that passes by its numbers doesn't all the same, if so.

    variants: the baseline and the candidate, values: their estimates. room: by how much the
    candidate's harm could be larger and still be within the margin.
    """
    for place, reach in enumerate(evidence.reach.get(metric.name, ())):
        # What is divided by flatters the other way round.
        by_less = metric.higher_is_better == (place > 0)
        short, full = variants[::-1] if by_less else variants
        value = abs(values[1] if by_less else values[0])
        why = _why_other_signs(reach, short, full) or _why(
            reach, short, full, by_less=by_less, room=room, value=value
        )
        if why is not None:
            return why
    return None


def why_lost(evidence: UserEvidence, metric: MetricPlan) -> str | None:
    """Why a metric that passes doesn't, where too many outcomes are gone or are nobody's."""
    reaches = evidence.reach.get(metric.name, ())
    read, gone = sum(evidence.outcome_names.values()), evidence.gone_outcomes
    if reaches and gone > _LOST_SHARE * (gone + read):
        return (
            f"{gone:,} rows of outcomes that were read earlier are no longer in the source, which "
            f"has {read:,} (limit {_LOST_SHARE:.0%} gone), so harm may be among them: was a file "
            "read while it was written? Restore these rows, or approve the metric"
        )
    every = evidence.lost_outcomes, read, "rows of outcomes"
    found = [every] if reaches else []
    for reach in reaches:
        found.append((reach.without_user, reach.rows, f"rows of outcomes {reach.outcome!r}"))
        for variant, each in reach.by_variant.items():
            of_variant = f"rows of outcomes {reach.outcome!r} of {variant}'s users"
            found.append((each.lost, each.rows, of_variant))
    for lost, rows, what in found:
        if lost > _LOST_SHARE * (lost + rows):
            return (
                f"{lost:,} of {lost + rows:,} {what} have no user, no name or no time and count "
                f"for nobody (limit {_LOST_SHARE:.0%}), so harm may be among them. Complete these "
                "rows, or leave them out of the source if they are nobody's"
            )
    return None


def why_misnamed(evidence: UserEvidence, metric: MetricPlan) -> str | None:
    """Why a metric that passes doesn't, where its outcome may be there under another name.

    In other letters or signs it is the same; where it is nowhere, also if it is typed otherwise.
    """
    for reach in evidence.reach.get(metric.name, ()):
        read = sum(each.rows for each in reach.by_variant.values())
        for name, rows_of in reach.others.items():
            rows = sum(rows_of.values())
            is_it = bare_name(name) == bare_name(reach.outcome)
            is_it = is_it or (not read and _is_alike(reach.outcome, name, digits=True))
            if is_it and rows > _LOST_SHARE * (rows + read):
                return (
                    f"users have {rows:,} outcomes {name!r}, which no metric reads, and {read:,} "
                    f"outcomes {reach.outcome!r}: are they the same? {REMEDY}"
                )
    return None


def _why(
    reach: OutcomeReach, short: str, full: str, *, by_less: bool, room: float, value: float
) -> str | None:
    """Why the outcomes of one name leave open whether the candidate is that good.

    short: the variant by whose lost outcomes the candidate looks better; value: its estimate.
    """
    few, many = reach.by_variant[short], reach.by_variant[full]
    if not few.users or not many.users:
        return None
    expected = many.happened * few.users / many.users
    missing = expected - few.happened
    # Users come at random, each with all rows: a compound Poisson's variance.
    noise = (few.users / many.users) ** 2 * many.squares * many.each + few.squares * few.each
    spread = math.sqrt(noise)
    is_missing = missing > max(SURELY_MISSING, BEYOND_CHANCE * spread)
    found = list(_unread(reach, short, full))
    sure = sum(each.rows for each in found if each.sure)
    said = (
        f"{short}'s users have {few.happened:,} outcomes {reach.outcome!r} where "
        f"{expected:,.0f} were expected"
    )
    # Without any that count, each is worth what one of the other variant's is.
    harm = sure * (value / few.happened if few.happened else math.inf)
    if sure and harm > room:
        named = "; ".join(each.what for each in found if each.sure)
        return f"{said}, and {named}: with these, harm may be beyond the margin. {REMEDY}"
    if not is_missing or not by_less:
        return None
    possible = [each for each in found if each.rows >= _CAUSE_SHARE * missing]
    if possible:
        named = "; ".join(each.what for each in possible)
        return f"{said}, and {named}: are these the missing ones? {REMEDY}"
    if few.happened <= HARDLY_ANY * expected:
        return f"{said}: are they better, or not recorded? {REMEDY}"
    return None


def _unread(reach: OutcomeReach, short: str, full: str) -> Iterator[UnreadRows]:
    """Rows that count for nobody and may be those of the variant that has fewer."""
    few, many = reach.by_variant[short], reach.by_variant[full]
    name = repr(reach.outcome)
    strange = round(max(reach.strange, few.alike))
    if strange:
        what = f"{strange:,} have ids of another kind than any exposed user's"
        yield UnreadRows(strange, what, sure=True)
    if reach.strangers > strange:
        unknown = reach.strangers - strange
        yield UnreadRows(unknown, f"{unknown:,.0f} belong to no exposed user", sure=False)
    if reach.without_user:
        yield UnreadRows(reach.without_user, f"{reach.without_user:,} have no user", sure=True)
    ratio = few.users / many.users
    for counts, users, what in _of_users(few, many):
        excess = counts[0] - ratio * counts[1]
        if excess > 0 and _is_more(users, (few.users, many.users), each=few.each):
            said = f"{counts[0]:,} of {short}'s and {counts[1]:,} of {full}'s {what}"
            yield UnreadRows(excess, said, sure=True)
    zeros = few.counted - few.happened, many.counted - many.happened
    if _is_one_sided(*zeros, ratio):
        yield UnreadRows(zeros[0], f"{zeros[0]:,} are zero or false", sure=True)
    if _is_one_sided(few.ahead, many.ahead, ratio):
        yield UnreadRows(few.ahead, f"{few.ahead:,} are later than the last pull", sure=True)
    missing = missing_hours(few, many)
    if missing is not None:
        rows = round(missing.share * few.happened)
        yield UnreadRows(rows, f"about {rows:,} are missing on {missing.what}", sure=True)
    for other_name, rows_of in reach.others.items():
        rows = rows_of.get(short, 0)
        if _is_one_sided(rows, rows_of.get(full, 0), ratio):
            what = f"nearly only {short}'s have {other_name!r} ({rows:,} rows) beside {name}"
            yield UnreadRows(rows, what, sure=_is_alike(reach.outcome, other_name))


def _of_users(
    few: VariantReach, many: VariantReach
) -> Iterator[tuple[tuple[int, int], tuple[int, int], str]]:
    """Rows of both variants' users that don't count, of how many users, and what is with them."""
    yield (few.lost, many.lost), (few.users_lost, many.users_lost), "have no name or no time"
    elsewhere = few.users_elsewhere, many.users_elsewhere
    yield (few.elsewhere, many.elsewhere), elsewhere, "name another experiment"
    outside = few.users_outside * few.each, many.users_outside * many.each
    rows = few.rows - few.counted, many.rows - many.counted
    yield rows, outside, "are before the exposure or after the window"


def _is_one_sided(few: int, many: int, ratio: float) -> bool:
    return few >= _SOME_ROWS and few >= _ONE_SIDED * (few + ratio * many)


def _why_other_signs(reach: OutcomeReach, short: str, full: str) -> str | None:
    """Why amounts below 0, by which the candidate looks better, may be no others than above it."""
    few, many = reach.by_variant[short], reach.by_variant[full]
    rows = few.sampled, many.sampled
    if not all(rows) or many.negative > _NO_SIGNS * rows[1] or few.negative < _SOME_ROWS:
        return None
    if not _is_more((few.negative, many.negative), rows, each=1):
        return None
    return (
        f"{few.negative / rows[0]:.1%} of {short}'s outcomes {reach.outcome!r} are below 0 and "
        f"{many.negative / rows[1]:.1%} of {full}'s: are their signs mixed up? {REMEDY}"
    )


def bare_name(name: str) -> str:
    """A name without case and signs; as it is where it has nothing else."""
    return "".join(c for c in name.casefold() if c.isalnum()) or name


def _is_alike(name: str, other: str, *, digits: bool = False) -> bool:
    """Whether one name may be another one mistyped, or in another form.

    digits: another number (error_502 beside error_500) is another name.
    """
    a, b = bare_name(name), bare_name(other)
    if digits and [c for c in a if c.isdigit()] != [c for c in b if c.isdigit()]:
        return False
    return a == b or SequenceMatcher(None, a, b).ratio() >= _ALIKE_NAMES


def _is_more(with_some: tuple[int, int], users: tuple[int, int], *, each: int) -> bool:
    """Whether more of the first variant's users have such rows than chance explains (z-test).

    Counts are of all users, scaled up from one in `each`.
    """
    (n, m), (x, y) = users, map(min, with_some, users)
    pooled = (x + y) / (n + m)
    error = math.sqrt(pooled * (1 - pooled) * each * (1 / n + 1 / m))
    return error > 0 and float(ndtr(-(x / n - y / m) / error)) < _P_VALUE
