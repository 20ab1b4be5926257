"""The main job without a server: pull, score, publish, and show the verdicts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

from analysis.metric_result import Classification
from analysis.plan import Role
from analysis.verdict import Decision
from flows.cli.faults import fault_line, show_fault
from flows.cli.lines import complain, plain_console, say
from flows.cli.stdout import lost_output
from flows.formats.exit_codes import ExitCode
from flows.formats.problems import UserError
from flows.formats.text import counted
from flows.formats.time import instant, milliseconds, milliseconds_of
from flows.ingest.pull import pull_experiment
from flows.ingest.users.staging import Staging
from flows.look.basis import basis_of
from flows.look.look import score_with_notes
from flows.look.look_time import look_time
from flows.look.seen import StandingLook, standing_looks
from flows.look.verdict_document import VerdictDocument
from flows.notify import note_failure, send_notifications, warn_of_wrong_urls
from flows.plan.effective import plan_at
from flows.publish.publish_all import publish_all
from flows.publish.run_metrics import measured_run
from flows.spec.experiment import Experiment
from flows.warehouse.connection import open_reader
from flows.warehouse.kept_open import keep_open
from flows.warehouse.statements import run
from flows.workspace.experiments import Selection, select, select_readable
from flows.workspace.paths import Workspace

# To print verdicts costs more than to find out that they stand.
_SHOWN_AGAIN = 20


def run_all(
    workspace: Workspace,
    names: Sequence[str],
    *,
    at: datetime | None,
    replay: bool,
    debug: bool = False,
) -> int:
    """Runs the experiments, one failing one doesn't stop the others; returns the exit code.

    0: every experiment has a verdict, whatever it is; 2: at least one could not be judged.
    """
    look_at = look_time(at)
    chosen = select(workspace, names)
    with measured_run(workspace, _warn) as notes, keep_open(workspace.warehouse):
        notes.experiments = len(chosen.specs) + len(chosen.broken)
        notes.failed += _tell_broken(chosen)
        warn_of_wrong_urls(workspace.warehouse, _warn)
        _run_chosen(workspace, chosen, look_at, notes.failed, replay=replay, debug=debug)
    return ExitCode.FAILED if notes.failed else ExitCode.GOOD


def _run_chosen(
    workspace: Workspace,
    chosen: Selection,
    at: datetime,
    failed: list[str],
    *,
    replay: bool,
    debug: bool,
) -> None:
    looks: list[VerdictDocument | StandingLook] = []
    for name, error in chosen.broken.items():
        note_failure(workspace.warehouse, name, str(error))
    standing = {} if replay else standing_looks(workspace, chosen.specs, at)
    anew: set[str] = set()
    new = [each for each in chosen.specs if each[1].experiment not in standing]
    with Staging(workspace.warehouse, new) as staging:
        for path, spec in chosen.specs:
            # Another verdict of what it comes after may be another one of it.
            known = None if anew.intersection(spec.after) else standing.get(spec.experiment)
            with _apart(spec.experiment, failed, workspace.warehouse, debug=debug):
                anew.add(spec.experiment)
                document = _run_one(
                    workspace, path, spec, at, replay=replay, known=known, staging=staging
                )
                if document is not None:
                    looks.append(document)
                elif known is not None:
                    anew.remove(spec.experiment)
                    looks.append(known)
    if looks:
        _show(looks)
        if failed:
            print(f"{len(failed)} failed: {', '.join(failed)}")
        written = [workspace.warehouse, workspace.verdicts]
        with _apart("publish", failed, debug=debug):
            written += publish_all(workspace, _all_readable(workspace, chosen))
        print("written:", *written, sep="\n  ")
    send_notifications(workspace.warehouse, _warn)


def _warn(text: str) -> None:
    complain(f"warning: {text}")


def pull_all(
    workspace: Workspace, names: Sequence[str], *, until: datetime | None, debug: bool = False
) -> int:
    """Brings the warehouse up to date for the experiments; returns the exit code."""
    pull_until = look_time(until)
    chosen = select(workspace, names)
    failed = _tell_broken(chosen)
    kept = keep_open(workspace.warehouse)
    with kept, Staging(workspace.warehouse, chosen.specs) as staging:
        for path, spec in chosen.specs:
            with _apart(spec.experiment, failed, debug=debug):
                print(f"{spec.experiment}", flush=True)
                _pull(workspace, path, spec, pull_until, staging)
    return ExitCode.FAILED if failed else ExitCode.GOOD


def publish_readable(workspace: Workspace) -> int:
    """Publishes, and prints what was written; returns the exit code, 2 if a spec is broken."""
    chosen = select(workspace)
    failed = _tell_broken(chosen)
    if chosen.specs:
        print(*publish_all(workspace, chosen), sep="\n")
    return ExitCode.FAILED if failed else ExitCode.GOOD


def _tell_broken(chosen: Selection) -> list[str]:
    """Says everything that is wrong with broken specs; returns their names."""
    for line in chosen.problems:
        complain(line)
    return list(chosen.broken)


def _all_readable(workspace: Workspace, chosen: Selection) -> Selection:
    """What is published: also what wasn't chosen; broken specs that nobody chose are a warning."""
    found = select_readable(workspace, chosen.specs)
    for line in found.problems:
        if line not in chosen.problems:
            complain(f"warning: {line}")
    return found


@contextmanager
def _apart(
    name: str, failed: list[str], warehouse: Path | None = None, *, debug: bool
) -> Iterator[None]:
    """Says what is wrong with one experiment and notes its name, so that the others go on.

    warehouse: where it is also noted to be told to people.
    """
    try:
        yield
    except UserError as error:
        complain(f"{name}: {f'{error}'.removeprefix(f'{name}: ')}")
        failed.append(name)
        if warehouse is not None:
            note_failure(warehouse, name, str(error))
    except (KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as error:  # also a library's exit, and a panic in Rust
        if lost_output(error):
            # Nothing that follows could be printed either.
            raise
        show_fault(error, debug=debug)
        said = fault_line(error, debug=debug)
        complain(f"{name}: failed, nothing was decided: {said}")
        failed.append(name)
        if warehouse is not None:
            note_failure(warehouse, name, f"{type(error).__name__}: {error}")


def _run_one(
    workspace: Workspace,
    path: Path,
    spec: Experiment,
    at: datetime,
    *,
    replay: bool,
    known: StandingLook | None,
    staging: Staging,
) -> VerdictDocument | None:
    """The verdict, or None if the last look stands; known: it, as far as a pull says nothing."""
    basis = known.basis if known else basis_of(spec, path.parent)
    print(f"{spec.experiment}", flush=True)
    if known is None or basis.is_pulled:
        _pull(workspace, path, spec, at, staging)
    if known and (
        not basis.is_pulled or spec.experiment in standing_looks(workspace, [(path, spec)], at)
    ):
        print(f"  nothing new: {known.stored['decision']}", flush=True)
        return None
    looks = list(_planned_looks(workspace, spec, at)) if replay else []
    for look in (*looks, at):
        document = score_with_notes(
            spec, workspace.warehouse, spec_dir=path.parent, at=look, basis=basis
        )
        document.write(workspace.verdicts)
    print(f"  {counted(len(looks) + 1, 'look')}: {document.decision.value}", flush=True)
    return document


def _pull(
    workspace: Workspace, path: Path, spec: Experiment, until: datetime, staging: Staging
) -> None:
    pulled = pull_experiment(
        spec, workspace.warehouse, spec_dir=path.parent, until=until, staging=staging
    )
    for line in pulled.summary:
        say(f"  {line}", indent="    ")
    for line in pulled.warnings:
        complain(f"  warning: {line}")


def _planned_looks(workspace: Workspace, spec: Experiment, at: datetime) -> Iterator[datetime]:
    """Every look of the schedule before the last one that hasn't been taken by this spec yet."""
    with open_reader(workspace.warehouse) as con:
        plan = plan_at(con, spec, at=at)
        rows = run(
            con,
            "aggregate/looks_taken",
            experiment=spec.experiment,
            spec_hash=spec.spec_hash,
            software_version=version("split-verdict"),
        ).fetchall()
    taken = {milliseconds_of(look) for (look,) in rows}
    end = min(milliseconds_of(at), plan.end_ms)
    step = milliseconds(spec.plan.look_every)
    return (instant(ms) for ms in range(plan.start_ms + step, end, step) if ms not in taken)


def _show(looks: Sequence[VerdictDocument | StandingLook]) -> None:
    """Prints the table of verdicts; before anything else can fail.

    Looks of which nothing has changed, where they are many, are only counted.
    """
    from dashboards.verdict_table import VerdictRow, verdict_table  # noqa: PLC0415

    stands = [each for each in looks if isinstance(each, StandingLook)]
    left_out = stands if len(stands) > _SHOWN_AGAIN else []
    documents = [
        each.document if isinstance(each, StandingLook) else each
        for each in looks
        if not (left_out and isinstance(each, StandingLook))
    ]
    others = [Decision(each.stored["decision"]) for each in left_out]
    rows = [
        VerdictRow(
            document.experiment,
            document.decision,
            document.score,
            _beside(document),
            document.reasons,
        )
        for document in documents
    ]
    plain_console().print(verdict_table(rows, others))


def _beside(document: VerdictDocument) -> tuple[str, ...]:
    """What metrics say that no reason says; signals within their margins are in the report."""
    from analysis.explain.reasons import explain  # noqa: PLC0415

    shown = (
        (explain(metric), metric.role)
        for metric in document.metrics
        if metric.role is not Role.SIGNAL or metric.classification is not Classification.PASS
    )
    return tuple(
        # Otherwise a promote beside harm beyond a margin looks like a mistake.
        f"{line} ({role.value})" if role in {Role.SIGNAL, Role.INFO} else line
        for line, role in shown
        if line not in document.reasons
    )
