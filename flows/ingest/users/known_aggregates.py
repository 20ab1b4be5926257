"""The sums of a spec's metrics as the warehouse holds them, and what can't be right in them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from analysis.users.running_totals import are_running_totals
from flows.formats.problems import RowFault, each_once
from flows.ingest.sources.aggregate_rows import VALUE, AggregateRow, row_of, sums_by_day
from flows.ingest.sources.staged_rows import one_form
from flows.ingest.users.pull_aggregates import StoredRow, stored_rows, vanished_groups
from flows.ingest.users.pull_report import vanished_sums
from flows.spec.experiment import Experiment
from flows.warehouse.statements import Connection

# A metric's sums may leave out so much more of one variant's users than of another's.
_TOLERANCE = 0.01
_MOST_FAULTS = 5


@dataclass(frozen=True, slots=True)
class VariantRow:
    """A row of sums, and the spec's name of its variant."""

    variant: str
    row: AggregateRow
    where: str

    @property
    def group(self) -> tuple[str, str, str, str, date | None]:
        """Whose sums they are."""
        row = self.row
        return row.metric, self.variant, row.segment, row.stratum, row.day


@dataclass(frozen=True, slots=True)
class KnownAggregates:
    """Rows by metric of the spec.

    faults: what can't be right, as sentences; names: of the metrics that the rows have. others:
    rows of other experiments; earlier: rows of days before the plan's start. vanished: groups that
    are not found any more.
    """

    by_metric: Mapping[str, tuple[VariantRow, ...]]
    faults: tuple[str, ...]
    names: tuple[str, ...]
    others: int
    vanished: tuple[str, ...]
    earlier: int


def read_known_aggregates(con: Connection, spec: Experiment) -> KnownAggregates:
    """What the warehouse knows; rows of days before the plan's start are left out and counted."""
    stored = stored_rows(con, spec)
    rows, faults, others = _parsed(spec, [row for row in stored if not row.is_gone])
    names = tuple(sorted({each.row.metric for each in rows}))
    kept = [each for each in rows if not _is_early(spec, each.row)]
    by_metric = {
        name: tuple(each for each in kept if each.row.metric == _name_in_data(spec, name, names))
        for name in spec.user_metrics
    }
    faults += _twice_named(spec, names)
    faults += _repeated(rows)
    for name, of_metric in by_metric.items():
        faults += dict.fromkeys(_of_metric(spec, name, of_metric))
        faults += _running_totals(spec, name, of_metric)
    faults += _incomplete(spec, by_metric)
    more = len(faults) - _MOST_FAULTS
    shown = (*faults[:_MOST_FAULTS], *((f"and {more} more such faults",) if more > 0 else ()))
    return KnownAggregates(
        by_metric, shown, names, others, vanished_groups(stored), len(rows) - len(kept)
    )


def notes_on_aggregates(known: KnownAggregates) -> Iterator[str]:
    """What is left out, as sentences."""
    for count, why in (
        (known.others, "are of other experiments"),
        (known.earlier, "are of days before the plan's start"),
    ):
        if count:
            yield f"{count:,} rows of sums {why} and are left out"
    yield from vanished_sums(known.vanished)


def _parsed(
    spec: Experiment, stored: Sequence[StoredRow]
) -> tuple[list[VariantRow], list[str], int]:
    """The rows of the spec's variants, what is wrong with others, and how many are foreign."""
    called = {
        one_form(name if variant.value is None else variant.value): name
        for name, variant in spec.variants.items()
    }
    found, wrong = list[VariantRow](), list[tuple[str, RowFault]]()
    others, unknown = 0, Counter[str]()
    for each in stored:
        where, row = f"{each.part}, row {each.row_number}", row_of(each.record)
        if not isinstance(row, AggregateRow):
            wrong += [(where, fault) for fault in row]
        elif "experiment" in row.model_fields_set and row.experiment != spec.experiment:
            others += 1
        elif one_form(row.variant) not in called:
            unknown[row.variant] += 1
        else:
            found.append(VariantRow(called[one_form(row.variant)], row, where))
    faults = _said_once(wrong, len(stored))
    for name, count in unknown.items():
        faults.append(
            f"{count:,} rows of sums are of a variant {name!r}, which the spec doesn't have "
            f"({', '.join(called)}): name it there, or leave it out of the sums"
        )
    return found, faults, others


def _said_once(faults: Sequence[tuple[str, RowFault]], rows: int) -> list[str]:
    """What is wrong with rows, as sentences: each with the first row, and how many there are."""
    once = each_once(faults, f"of {rows:,} rows")
    return [": ".join(filter(None, (where, fields, said))) for where, fields, said in once]


def _is_early(spec: Experiment, row: AggregateRow) -> bool:
    start = spec.plan.start
    return row.day is not None and start is not None and row.day < start.date()


def _name_in_data(spec: Experiment, name: str, names: Sequence[str]) -> str:
    """What the rows call a metric: its name, or else that of its outcome."""
    outcome = spec.user_metrics[name].outcome
    return name if name in names or outcome in spec.user_metrics else outcome


def _twice_named(spec: Experiment, names: Sequence[str]) -> Iterator[str]:
    """A metric's rows under its own name, and under its outcome's, which no other metric reads."""
    for name, metric in spec.user_metrics.items():
        outcome = metric.outcome
        readers = [
            other
            for other, each in spec.user_metrics.items()
            if other == outcome or (each.outcome == outcome and other not in names)
        ]
        if name != outcome and not readers and {name, outcome} <= set(names):
            yield (
                f"sums of {name} are there under this name and under {outcome!r}, its outcome: "
                "give all of them one name"
            )


def _repeated(rows: Sequence[VariantRow]) -> Iterator[str]:
    first: dict[tuple[object, ...], VariantRow] = {}
    for each in rows:
        same = first.setdefault(each.group, each)
        if same is not each:
            group = " ".join(str(part) for part in each.group if part)
            yield (
                f"{each.where}: the sums of {group} are there already ({same.where}); add them, or "
                "leave one out"
            )


def _of_metric(spec: Experiment, name: str, rows: Sequence[VariantRow]) -> Iterator[str]:
    """What doesn't fit the spec's metric, or the metric's other rows."""
    kind = {"retention": "proportion"}.get(
        spec.user_metrics[name].kind, spec.user_metrics[name].kind
    )
    wrong = [(each.where, fault) for each in rows for fault in _of_row(spec, name, kind, each.row)]
    yield from _said_once(wrong, len(rows))
    users, parts = defaultdict[str, float](float), defaultdict[tuple[str, str], float](float)
    for each in rows:
        row = each.row
        if row.segment:
            parts[each.variant, row.segment] += row.n
        else:
            users[each.variant] += row.n
    whole = [each.row for each in rows if not each.row.segment]
    for field, given in (
        ("stratum", {row.stratum.strip() != "" for row in whole}),
        ("day", {row.day is not None for row in whole}),
    ):
        if len(given) > 1:
            yield (
                f"{name} has a {field} in some rows only: rows are added, so give it in all or "
                "none, and leave totals out"
            )
    for (variant, segment), count in parts.items():
        if count > users[variant]:
            yield (
                f"{name}, {variant}: {count:,.0f} users of {segment!r} of {users[variant]:,.0f} in "
                "all: a row without segment has all users"
            )


def _running_totals(spec: Experiment, name: str, rows: Sequence[VariantRow]) -> Iterator[str]:
    """Where each day has the users of the days before as well."""
    if spec.sources.is_timeless:
        return
    whole = [each for each in rows if not each.row.segment]
    of_day = {
        v: sums_by_day(each.row for each in whole if each.variant == v) for v in spec.variants
    }
    if are_running_totals([list(days.values()) for days in of_day.values()], VALUE):
        (first, few), *_, (last, many) = of_day[spec.baseline].items()
        yield (
            f"each day of {name} seems to hold the days before: users of {spec.baseline} grow from "
            f"{float(few.n):,.0f} on {first} to {float(many.n):,.0f} on {last} and hardly differ "
            "from day to day; give each day the users of that day alone"
        )


def _of_row(spec: Experiment, name: str, kind: str, row: AggregateRow) -> Iterator[RowFault]:
    """What doesn't fit the spec's metric in a row by itself."""
    if row.type != kind:
        said = f"type is {row.type}, the spec's metric {name} needs {kind}"
        yield RowFault("", said, "type")
    if not spec.sources.is_timeless and row.day is None:
        yield RowFault("", "has no day, which sources.users.by_day says every row has", "day")
    if row.type == "count" and row.sum + row.n * row.shift < 0:
        yield RowFault("", f"sum is {row.sum:g}: there can't be fewer than 0 events", "sum")
    if row.segment and not row.segment.replace("=", "").strip():
        said = f"segment is {row.segment!r}, which names none; of all users: empty"
        yield RowFault("", said, "segment")


def _incomplete(spec: Experiment, by_metric: Mapping[str, Sequence[VariantRow]]) -> Iterator[str]:
    """Where a metric leaves out other parts of the variants' users: those may be the harmed."""
    users = {name: users_of(spec, rows) for name, rows in by_metric.items() if rows}
    whole = {v: max((each[v] for each in users.values()), default=0.0) for v in spec.variants}
    for name, found in users.items():
        shares = {v: found[v] / whole[v] for v in spec.variants if whole[v]}
        if shares and max(shares.values()) - min(shares.values()) > _TOLERANCE:
            said = " and ".join(f"{share:.1%} of {v}'s" for v, share in shares.items())
            yield (
                f"the sums of {name} are of {said} users, as other metrics count them: what "
                "the others did is missing"
            )


def users_of(spec: Experiment, rows: Sequence[VariantRow]) -> dict[str, float]:
    """Users by variant."""
    found = dict.fromkeys(spec.variants, 0.0)
    for each in rows:
        if not each.row.segment:
            found[each.variant] += each.row.n
    return found
